/**
 * Runs random operations on two connected sockets. Descriptors arrive in order, no descriptor
 * stays open after close(), and the process exits.
 */
import { closeSync, openSync, readSync } from "node:fs";
import fc from "fast-check";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { closeDescriptor, DescriptorSocket } from "../../../descriptors.ts";
import { openTargets, position, socketPair } from "../libc.ts";

const tick = () => new Promise((resolve) => setTimeout(resolve));

// Deno opens two sockets for signals half a second after its start; open them now.
const ignoreSignal = () => {};
Deno.addSignalListener("SIGUSR2", ignoreSignal);
Deno.removeSignalListener("SIGUSR2", ignoreSignal);
await tick();

const FILE_COUNT = 100;
const path = await Deno.realPath(await Deno.makeTempFile());
await Deno.writeTextFile(path, "x".repeat(FILE_COUNT));
/** Identified by their positions. */
const files = Array.from({ length: FILE_COUNT }, (_, index) => {
  const file = openSync(path, "r");
  if (index > 0) readSync(file, new Uint8Array(index));
  return file;
});

/** List the open descriptors that these tests may have opened. */
function open(): string[] {
  return openTargets().filter((target) =>
    Deno.build.os !== "linux" || target === path || target.startsWith("socket:")
  );
}

const atFirst = open();

const side = fc.constantFrom<0 | 1>(0, 1);
const step = fc.oneof(
  fc.record({
    do: fc.constant("send"),
    side,
    count: fc.constantFrom(1, 1, 90),
  }),
  fc.record({ do: fc.constant("receive"), side, isAborted: fc.boolean() }),
  fc.record({ do: fc.constant("abort"), which: fc.nat(5) }),
  fc.record({ do: fc.constant("turns"), count: fc.nat(6) }),
  fc.record({ do: fc.constant("tick") }),
  fc.record({ do: fc.constant("close"), side }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function run(steps: Step[]) {
  const sockets = socketPair().map((end) => new DescriptorSocket(end));
  const [left, right] = sockets;
  assert(left && right);
  const both = [left, right] as const;
  const sent: [number, number] = [0, 0];
  const received: [number[], number[]] = [[], []];
  const controllers: AbortController[] = [];
  const settled: Promise<unknown>[] = [];
  const begin = (promise: Promise<unknown>) =>
    settled.push(promise.catch(() => {}));

  const receive = async (side: 0 | 1, signal?: AbortSignal) => {
    const descriptor = await both[side].receive(signal && { signal });
    if (descriptor === null) return;
    received[side].push(position(descriptor));
    closeDescriptor(descriptor);
  };
  for (const step of steps) {
    if (step.do === "send" && "count" in step && "side" in step) {
      for (let count = 0; count < step.count; count++) {
        const file = files[sent[step.side]++ % FILE_COUNT] ?? -1;
        begin(both[step.side].send(file));
      }
    } else if ("isAborted" in step) {
      const controller = new AbortController();
      begin(receive(step.side, controller.signal));
      if (step.isAborted) controller.abort();
      else controllers.push(controller);
    } else if ("which" in step) {
      controllers[step.which]?.abort();
    } else if ("count" in step) {
      for (let count = 0; count < step.count; count++) await null;
    } else if ("side" in step) {
      begin(both[step.side].close());
    } else {
      await tick();
    }
  }
  await Promise.all(both.map((socket) => socket.close()));
  await Promise.all(settled);
  for (const side of [0, 1] as const) {
    const positions = received[side].map((_, index) => index % FILE_COUNT);
    assertEquals(received[side], positions);
  }
  for (let tries = 0; open().length > atFirst.length && tries < 100; tries++) {
    await tick();
  }
  assertLessOrEqual(open().length, atFirst.length, `${open()} not ${atFirst}`);
}

await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), run), {
  numRuns: Number(Deno.args[0] ?? 300),
});
for (const file of files) closeSync(file);
await Deno.remove(path);
