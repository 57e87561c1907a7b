/**
 * Run a Deno module in a sandbox, for a parent in any language: each message is a line of standard input or output.
 *
 * The module calls `connectToParent()`, as under any other parent. `--help` lists the options; `docs/sandboxed.md` has
 * parents in Python and Node.
 *
 * @example
 * ```sh
 * deno run -A jsr:@socketpair/socketpair/sandboxed --allow-net=example.com plugin.ts
 * ```
 *
 * @module
 */

import { bytes, type Channel } from "./channel.ts";
import {
  contentLength,
  delimiter,
  type Framing,
  lengthField,
  netstring,
  varint,
} from "./framing.ts";
import {
  type Child,
  ConnectError,
  connectToParent,
  ExitError,
  spawnModule,
} from "./pair.ts";
import { messageOf } from "./pair/environment.ts";

const USAGE = `Run a Deno module in a sandbox and exchange messages with it.

Usage:
  deno run -A jsr:@socketpair/socketpair/sandboxed [options] <module> [args...]

Each line of standard input is a message to the module, and each message from it
is a line of standard output. What the module prints goes to standard error.

Options:
  --allow-env[=<names>]     environment variables the module may read and set
  --allow-net[=<hosts>]     hosts it may connect to
  --allow-read[=<paths>]    files and directories it may read
  --allow-write[=<paths>]   files and directories it may write
  --config=<file>           the deno.json for the module's imports
  --framing=<name>          how messages are separated; the default is line:
                            line, nul, netstring, content-length, varint,
                            uint32 (native endian), uint32be, uint32le
  --npm-cache               let it import npm packages from Deno's cache; use
                            this with --wall
  --wall=bubblewrap         add a second sandbox, made by the system (Linux)
  --help                    print this

Lists are separated by commas; without a list, all are allowed.
The exit code is the module's; 128 + n if signal n killed it, 2 for wrong usage.`;

const FRAMINGS = new Map<string | undefined, () => Framing>([
  ["line", delimiter],
  ["nul", () => delimiter({ delimiter: "\0" })],
  ["netstring", netstring],
  ["content-length", contentLength],
  ["varint", varint],
  ["uint32", lengthField],
  ["uint32be", () => lengthField({ endianness: "big" })],
  ["uint32le", () => lengthField({ endianness: "little" })],
]);

/** Numbers of the signals that end the module. Windows has only SIGINT. */
const SIGNALS = Deno.build.os === "windows"
  ? [["SIGINT", 2]] as const
  : [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const;

/** How long the module's last messages may take after a signal, in ms. The reader may have stopped reading. */
const LAST_MESSAGES_TIMEOUT = 1_000;

class UsageError extends Error {}

/** This process received a signal. */
class Interruption extends Error {
  constructor(readonly code: number) {
    super();
  }
}

/** Parse the options that precede the module. */
function parse(args: string[]) {
  let framing = delimiter();
  let denoArgs: string[] = [];
  let wall: "bubblewrap" | undefined;
  let npmCache = false;
  const permissions: Record<string, true | string[]> = {};
  for (const arg of args) {
    const [, name = "", value] = /^--([a-z-]+)(?:=(.+))?$/s.exec(arg) ?? [];
    const named = FRAMINGS.get(value);
    const [, kind] = /^allow-(env|net|read|write)$/.exec(name) ?? [];
    if (kind !== undefined) {
      const before = permissions[kind] ?? [];
      permissions[kind] = value === undefined || before === true
        ? true
        : [...before, ...value.split(",")];
    } else if (name === "framing" && named) framing = named();
    else if (name === "config" && value) denoArgs = [`--config=${value}`];
    else if (name === "wall" && value === "bubblewrap") wall = value;
    else if (arg === "--npm-cache") npmCache = true;
    else throw new UsageError(`Unknown option: ${arg}`);
  }
  return { framing, permissions, denoArgs, wall, npmCache };
}

/** Forward messages to the module. Its output and its status tell why it stopped receiving. */
async function forwardInput(from: Channel, to: Channel) {
  const isSent = (message: Uint8Array) =>
    to.send(message).then(() => true, () => false);
  try {
    for await (const message of from) if (!await isSent(message)) return;
  } catch (error) {
    throw new Error(`Cannot read standard input: ${messageOf(error)}`);
  }
  await to.closeWrite().catch(() => {});
}

/** Forward messages from the module. Its status tells whether it crashed. */
async function forwardOutput(from: Channel, to: Channel) {
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const fail = (error: unknown) =>
    reject(new Error(`Cannot write standard output: ${messageOf(error)}`));
  const forward = async () => {
    try {
      for await (const message of from) {
        if (!await to.send(message).then(() => true, fail)) return;
        // A write can fail after send() has resolved.
        to.flush().catch(fail);
      }
    } catch (error) {
      const isExit = error instanceof ExitError;
      if (!isExit && !(error instanceof Interruption)) throw error;
    }
    await to.flush().catch(fail);
  };
  await Promise.race([failed, forward()]);
}

/** Run a module until it exits, and return its exit code. */
async function run(
  module: string,
  { framing, ...options }: ReturnType<typeof parse> & { args: string[] },
): Promise<number> {
  const serialization = bytes({ borrow: true });
  const stdio = { transport: "stdio", framing, serialization } as const;
  const outside = await connectToParent(stdio);
  const cancel = new AbortController();
  const { signal } = cancel;
  for (const [name, number] of SIGNALS) {
    const interruption = new Interruption(128 + number);
    Deno.addSignalListener(name, () => cancel.abort(interruption));
  }
  const all = { ...options, serialization, signal };
  const child = await spawnModule(module, all);
  try {
    const input = forwardInput(outside, child.channel);
    const output = forwardOutput(child.channel, outside);
    const ended = Promise.all([output, child.status]);
    // The end of standard input does not end the module, but an error there does.
    await Promise.race([
      ended,
      input.then(() => ended),
      interrupted(child, signal),
    ]);
  } catch (error) {
    cancel.abort(error);
    throw error;
  } finally {
    // Waits until the last line that the module printed has been copied.
    await child.close();
  }
  const status = await child.status;
  if (status.signal !== null && !signal.aborted) {
    printError(`Module ${module} was killed by ${status.signal}`);
  }
  return status.code;
}

/** Resolves some time after a signal has ended the child. */
async function interrupted(child: Child, signal: AbortSignal) {
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }
  await child.status;
  await new Promise((resolve) => setTimeout(resolve, LAST_MESSAGES_TIMEOUT));
}

function printError(message: string) {
  // deno-lint-ignore no-console -- a command reports errors on standard error
  console.error(message);
}

/** Run the command and return its exit code. */
async function main(all: string[]): Promise<number> {
  const at = all.findIndex((arg) => !arg.startsWith("-"));
  const options = at === -1 ? all : all.slice(0, at);
  const [module, ...args] = all.slice(options.length);
  if (options.includes("--help") || options.includes("-h")) {
    // deno-lint-ignore no-console -- the output of --help
    console.log(USAGE);
    return 0;
  }
  try {
    const parsed = parse(options);
    if (module === undefined) throw new UsageError("Missing module");
    return await run(module, { ...parsed, args });
  } catch (error) {
    if (error instanceof Interruption) return error.code;
    const isUsage = error instanceof UsageError;
    printError(messageOf(error) + (isUsage ? ": see --help" : ""));
    if (isUsage) return 2;
    return error instanceof ConnectError && error.status?.code || 1;
  }
}

// A read of standard input may be pending.
Deno.exit(await main(Deno.args));
