import { assert, assertEquals } from "@std/assert";
import {
  type AnySerialization,
  Channel,
  type Received,
  type Sent,
  text,
} from "../../channel.ts";
import { type Child, spawn, type SpawnOptions } from "../../pair.ts";
import { py, python } from "./python.ts";

/** A child that does what the test says: `obey()` of child.py. */
export class Puppet {
  readonly pid: number;
  /** What the child found in its environment. */
  readonly path: string;
  readonly port: number;
  readonly token: string;
  #channel: Channel<string>;

  constructor(hello: object, channel: Channel<string>) {
    assert("pid" in hello && typeof hello.pid === "number");
    assert("TOKEN" in hello && "PATH" in hello && "PORT" in hello);
    this.pid = hello.pid;
    this.path = String(hello.PATH ?? "");
    this.port = Number(hello.PORT);
    this.token = String(hello.TOKEN ?? "");
    this.#channel = channel;
  }

  /** Where the parent waits: what a stranger may know. */
  dial(): Promise<Deno.Conn> {
    return this.path
      ? Deno.connect({ transport: "unix", path: this.path })
      : Deno.connect({ hostname: "127.0.0.1", port: this.port });
  }

  /** Begin to run Python in the child. */
  async start(code: string) {
    await this.#channel.send(code);
    await this.#channel.flush();
  }

  /** Run Python in the child, and give what it leaves in `answer`. */
  async run(code: string): Promise<unknown> {
    await this.start(code);
    const answer = await this.#channel.receive();
    assert(answer !== null, `The child has gone while it ran: ${code}`);
    return JSON.parse(answer);
  }

  /** Resolves when the child has ended, even if its parent ended before. */
  async ended() {
    try {
      while (await this.#channel.receive() !== null);
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionReset, String(error));
    }
    this.#channel.abort();
  }
}

/**
 * A place for sockets that must be empty in the end, and a way to direct children. Spread, it is the options that a
 * child needs for `obey()`.
 */
export class Stage implements AsyncDisposable {
  /** The directory for sockets. */
  readonly directory: string;
  /** What a child needs to find the test. */
  readonly env: Record<string, string>;
  readonly #root: string;
  readonly #listener: Deno.UnixListener;
  readonly #channels: Channel<string>[] = [];

  private constructor(root: string, directory: string) {
    this.#root = root;
    this.directory = directory;
    const path = `${root}/test`;
    this.env = { TEST_PATH: path, FIFO: `${root}/fifo` };
    this.#listener = Deno.listen({ transport: "unix", path });
  }

  static async set(name = "s"): Promise<Stage> {
    const root = await Deno.realPath(await Deno.makeTempDir());
    const directory = `${root}/${name}`;
    await Deno.mkdir(directory);
    return new Stage(root, directory);
  }

  /** Make the FIFO that children find as `FIFO`, and give its path. */
  async makeFifo(): Promise<string> {
    const path = `${this.#root}/fifo`;
    const { success } = await new Deno.Command("mkfifo", { args: [path] })
      .output();
    assert(success);
    return path;
  }

  /** Let other users reach the directory of the sockets. */
  async open() {
    await Deno.chmod(this.#root, 0o755);
    await Deno.chmod(this.directory, 0o755);
  }

  /** The next child that obeys. */
  async puppet(): Promise<Puppet> {
    const conn = await this.#listener.accept();
    const channel = new Channel(conn, { serialization: text() });
    this.#channels.push(channel);
    const hello = await channel.receive();
    assert(hello !== null);
    return new Puppet(JSON.parse(hello), channel);
  }

  async entries(): Promise<string[]> {
    const entries = await Array.fromAsync(Deno.readDir(this.directory));
    return entries.map(({ name }) => name);
  }

  async [Symbol.asyncDispose]() {
    this.#listener.close();
    for (const channel of this.#channels) channel.abort();
    const left = await this.entries();
    await Deno.remove(this.#root, { recursive: true });
    assertEquals(left, [], "Sockets are left behind");
  }
}

const { Command } = Deno;

/** Wait, and let nothing else happen here, until a process has opened a FIFO for writing and closed it. */
export function waitFor(fifo: string) {
  const args = py("signal.alarm(10); open(os.environ['FIFO']).read()");
  const options = { args, env: { FIFO: fifo } };
  assert(new Command(python, options).outputSync().success);
}
export const isRoot = Deno.build.os !== "windows" && Deno.uid() === 0;
export const NOBODY = 65534;

/** Longer than a handshake may take, or a second: who passes within has not waited for strangers. */
export const LONG = 2 ** 31 - 1;

export function test(name: string, fn: () => Promise<void>, ignore = false) {
  // A wait that never ends is a failure, not the end of the suite
  Deno.test({ name, fn, ignore, timeout: 60_000 });
}

/** Spawn a child that the test waits for later: a rejection meanwhile is not unhandled. */
export function begin<S extends AnySerialization = undefined>(
  command: string,
  options: SpawnOptions<S>,
): Promise<Child<Received<S>, Sent<S>>> {
  const spawning = spawn(command, options);
  spawning.catch(() => {});
  return spawning;
}
