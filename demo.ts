/**
 * The demo that `mod.ts` runs as a program: it sends messages to a child, which sends each
 * back reversed.
 *
 * @module
 */

import { type Channel, text } from "./channel.ts";
import { ConnectError, ExitError, spawnModule } from "./pair.ts";

const USAGE = `Send messages to a child process, which sends each back reversed.

Usage:
  deno run -A mod.ts [message...]   print what each process sends and receives;
                                    "taco cat" if no message is given
  deno run -A mod.ts -              reverse each line of standard input, as rev(1)
  deno run -A mod.ts --help         print this

A message that begins with "-" comes after "--".`;

const CHILD = import.meta.resolve("./child.ts");

/** A line of a file may be longer than the default limit. */
const MAX_LINE_LENGTH = 2 ** 32 - 1;

/** Print what each process sends and receives. */
async function converse(messages: string[]) {
  await using child = await spawnModule(CHILD, {
    serialization: text(),
    // The child is trusted; inherit stdout so that its lines interleave with these
    stdout: "inherit",
  });
  for (const message of messages) {
    print(`sending: ${message} from process ${Deno.pid}`);
    await child.channel.send(message);
    const answer = await child.channel.receive();
    if (answer === null) {
      throw new Error("Cannot receive answer: the child has exited");
    }
    print(`received: ${answer} in process ${Deno.pid}`);
  }
}

function print(line: string) {
  // deno-lint-ignore no-console -- the output of the demo
  console.log(JSON.stringify(line));
}

const LINE_FEED = new Uint8Array([0x0a]);
const CARRIAGE_RETURN_LINE_FEED = new Uint8Array([0x0d, 0x0a]);
const NO_LINE_END = new Uint8Array();

function lineEndOf(line: Uint8Array): Uint8Array {
  if (line.at(-1) !== 0x0a) return NO_LINE_END;
  return line.at(-2) === 0x0d ? CARRIAGE_RETURN_LINE_FEED : LINE_FEED;
}

/** Reverse each line of standard input; its end, if it has one, stays what it is. */
async function filter() {
  const { DelimiterStream } = await import("@std/streams");
  await using child = await spawnModule(CHILD, {
    args: ["--quiet"],
    maxFrameLength: MAX_LINE_LENGTH,
  });
  const { channel } = child;
  const lineEnds: Uint8Array[] = [];

  async function send() {
    const lines = Deno.stdin.readable
      .pipeThrough(new DelimiterStream(LINE_FEED, { disposition: "suffix" }));
    for await (const line of lines) {
      const lineEnd = lineEndOf(line);
      lineEnds.push(lineEnd);
      await channel.send(line.subarray(0, line.length - lineEnd.length));
    }
    await channel.closeWrite();
  }

  await Promise.all([send(), write(channel, lineEnds)]);
}

/** Write messages and line ends to standard output, as many at once as have come. */
async function write(channel: Channel, lineEnds: Uint8Array[]) {
  const { concat } = await import("@std/bytes");
  const writer = Deno.stdout.writable.getWriter();
  let batch: Uint8Array[] = [];
  let writing: Promise<void> | undefined;

  async function flush() {
    while (batch.length > 0) {
      const bytes = concat(batch);
      batch = [];
      await writer.write(bytes);
    }
    writing = undefined;
  }

  for await (const message of channel) {
    batch.push(message, lineEnds.shift() ?? NO_LINE_END);
    writing ??= flush();
    if (batch.length > 1000) await writing;
  }
  await writing;
}

/** Run the demo and return its exit code. */
async function main(args: string[]): Promise<number> {
  const separator = args.indexOf("--");
  const options = separator === -1 ? args : args.slice(0, separator);
  if (options.includes("--help") || options.includes("-h")) {
    // deno-lint-ignore no-console -- the output of the demo
    console.log(USAGE);
    return 0;
  }
  const isFilter = args.length === 1 && args[0] === "-";
  const unknown = options.find((arg) => arg.startsWith("-"));
  if (unknown !== undefined && !isFilter) {
    // deno-lint-ignore no-console -- standard error is where a wrong usage is told
    console.error(`Unknown option: ${unknown}\n\n${USAGE}`);
    return 2;
  }
  const messages = args.filter((_, index) => index !== separator);
  // What comes from a registry is imported by the child out of the cache.
  if (!CHILD.startsWith("file:")) {
    await import(CHILD, { with: { type: "text" } });
  }
  try {
    if (isFilter) await filter();
    else await converse(messages.length > 0 ? messages : ["taco cat"]);
    return 0;
  } catch (error) {
    const isChilds = error instanceof ConnectError ||
      error instanceof ExitError;
    if (!isChilds) throw error;
    // deno-lint-ignore no-console -- standard error is where a failure is told
    console.error(error.message);
    return 1;
  }
}

Deno.exitCode = await main(Deno.args);
