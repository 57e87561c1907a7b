import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Serialization, text } from "../../channel.ts";
import { TruncatedFrameError } from "../../framing.ts";
import {
  ConnectError,
  socketPair,
  spawn,
  type SpawnOptions,
} from "../../pair.ts";
import { assertNoLeak, openDescriptors } from "../leaks.ts";
import { py, python } from "./python.ts";
import { setVariable } from "./replace.ts";
import { LONG, Stage } from "./stage.ts";

const SPAWNS = 500;
const AT_ONCE = 10;

type Options = SpawnOptions<Serialization<string>>;

function runPython(code: string, options: Options) {
  return spawn(python, { args: py(code), ...options });
}

async function rejectsWith(
  errorClass: new (message: string) => Error,
  command: string,
  options: Options,
) {
  await assertRejects(() => spawn(command, options), errorClass);
}

/** The ways in which children come and go. */
const outcomes: ((options: Options) => Promise<unknown>)[] = [
  (options) =>
    rejectsWith(ConnectError, "sh", { args: ["-c", "exit 3"], ...options }),
  (options) =>
    rejectsWith(ConnectError, "sh", {
      args: ["-c", "kill -9 $$"],
      detached: true,
      ...options,
    }),
  (options) =>
    rejectsWith(ConnectError, "sh", {
      args: ["-c", 'rm "$SOCKETPAIR_PATH"; echo out; echo err >&2'],
      ...options,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }),
  (options) =>
    rejectsWith(ConnectError, "sleep", {
      args: ["1000"],
      connectTimeout: 20,
      ...options,
    }),
  (options) => rejectsWith(Deno.errors.NotFound, "/no/such/command", options),
  (options) =>
    rejectsWith(Deno.errors.NotFound, "true", {
      ...options,
      transport: "unix",
      directory: "/no/such/directory",
    }),
  (options) =>
    rejectsWith(DOMException, "sleep", {
      args: ["1000"],
      signal: AbortSignal.abort(),
      ...options,
    }),
  (options) => {
    const controller = new AbortController();
    const { signal } = controller;
    const failing = rejectsWith(DOMException, "sleep", {
      args: ["1000"],
      signal,
      ...options,
    });
    controller.abort();
    return failing;
  },
  async (options) => {
    const { directory = Deno.env.get("TMPDIR") ?? "" } = options;
    const pair = await socketPair({ directory });
    for (const conn of pair) conn.close();
  },
  async (options) => {
    await using child = await runPython("connect(); echo()", options);
    await child.channel.send("taco cat");
    assertEquals(await child.channel.receive(), "taco cat");
  },
  async (options) => {
    const child = await runPython(
      "connect(); send(b'x'); sys.exit(7)",
      options,
    );
    assertEquals(await child.channel.receive(), "x");
    assertEquals((await child.close()).code, 7);
  },
  async (options) => {
    const code = "connect(); parent.sendall(frame(b'taco cat')[:6])";
    await using child = await runPython(code, options);
    await assertRejects(() => child.channel.receive(), TruncatedFrameError);
  },
  (options) =>
    rejectsWith(ConnectError, python, {
      args: py(
        "strangers = [dial() for n in range(10)]; strangers[0].send(b'x')",
      ),
      ...options,
    }),
  async (options) => {
    const code = "connect(); signal.pause()";
    const child = await runPython(code, { ...options, gracePeriod: 1 });
    assert((await child.close()).signal);
  },
  async (options) => {
    const code =
      "signal.signal(signal.SIGTERM, signal.SIG_IGN); connect(); send(b''); signal.pause()";
    const child = await runPython(code, { ...options, gracePeriod: 1 });
    await child.channel.receive();
    void child.channel.send("x".repeat(1_000_000));
    assertEquals((await child.close()).signal, "SIGKILL");
  },
  async (options) => {
    const controller = new AbortController();
    const { signal } = controller;
    const code = "connect(); signal.pause()";
    const child = await runPython(code, { ...options, signal });
    controller.abort();
    assertEquals((await child.close()).signal, "SIGTERM");
  },
  async (options) => {
    await using child = await spawn("sh", {
      args: ["-c", '"$@"; true', "sh", python, ...py("connect(); echo()")],
      detached: true,
      ...options,
    });
    child.channel.abort();
  },
  (options) =>
    rejectsWith(RangeError, python, {
      args: py("connect(); receive()"),
      ...options,
      highWaterMark: -1,
    }),
];

/** Count the child processes of this process. */
async function countChildren(): Promise<number> {
  let children = 0;
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = await Deno.readTextFile(`/proc/${name}/stat`);
      // "pid (name) state parent ..."
      const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (Number(parent) === Deno.pid) children++;
    } catch (error) {
      // It has ended meanwhile
      if (error instanceof Deno.errors.NotFound) continue;
      if (
        !(error instanceof Error && "code" in error && error.code === "ESRCH")
      ) {
        throw error;
      }
    }
  }
  return children;
}

Deno.test({
  name:
    `spawn() leaves no descriptor, file, process or timer behind ${SPAWNS} children that end in every way`,
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using stage = await Stage.set();
    using _ = setVariable("TMPDIR", stage.directory);
    let next = 0;
    async function run(end: number) {
      while (next < end) {
        const n = next++;
        const outcome = outcomes[n % outcomes.length];
        const round = Math.floor(n / outcomes.length);
        assert(outcome);
        await outcome({
          serialization: text(),
          transport: round % 2 === 0 ? "unix" : "tcp",
          ...round % 4 === 0 && { directory: stage.directory },
        });
      }
    }
    // What is opened once, for the process
    await run(outcomes.length);
    const before = openDescriptors();
    const children = await countChildren();
    assertEquals(await stage.entries(), []);
    const end = next + SPAWNS;
    await Promise.all(Array.from({ length: AT_ONCE }, () => run(end)));
    assertEquals(await stage.entries(), []);
    assertEquals(await countChildren(), children);
    await assertNoLeak(before);
  },
});

Deno.test("spawn() and Child hold 100 children at once, with 1,000 messages both ways each", async () => {
  await using stage = await Stage.set();
  const { directory } = stage;
  async function converse(child: number) {
    await using it = await spawn(python, {
      args: py("connect(); echo()"),
      directory,
      transport: child % 2 === 0 ? "unix" : "tcp",
      serialization: text(),
      connectTimeout: LONG,
      gracePeriod: LONG,
    });
    const messages = Array.from(
      { length: 1_000 },
      (_, n) => `${child}: ${n} `.repeat(n % 20),
    );
    const received = Array.fromAsync(it.channel);
    for (const message of messages) await it.channel.send(message);
    await it.channel.closeWrite();
    assertEquals(await received, messages);
    assertEquals((await it.close()).code, 0);
  }
  await Promise.all(Array.from({ length: 100 }, (_, n) => converse(n)));
});
