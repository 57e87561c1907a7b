// child_process.fork with advanced serialization; records go with "json". Node runs this file to measure its own fork, Deno to measure Deno's.
//
// usage: node fork.mjs WORKLOAD SIZE COUNT WARM

import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";

const PAUSE_EVERY = 8 << 20;
const PAUSE = 10;
const EXCHANGES = 100;

const isChild = process.argv[2] === "child";
const [workload, ...numbers] = process.argv.slice(isChild ? 3 : 2);
const [size, count, warm] = numbers.map(Number);
const message = new Uint8Array(size).fill(0x78);
const messages = workload === "records" && !isChild
  ? JSON.parse(readFileSync(process.env.BENCH_RECORDS, "utf8"))
  : [message];

/** What send() and on("message") give, with the end of a full queue and the next message as promises. */
class End {
  #process;
  #expected = 0;
  #arrived = () => {};
  #queued = 0;
  #drained = () => {};

  constructor(process) {
    this.#process = process;
    process.on("message", (message) => {
      if (
        workload !== "spawn" && message instanceof Uint8Array &&
        message.length !== size
      ) {
        throw new Error(
          `Cannot go on: a message of ${message.length} bytes arrived`,
        );
      }
      if (--this.#expected === 0) this.#arrived(message);
      else if (workload === "slow") this.#pause();
    });
  }

  // Nothing here makes the other side wait but a receiver that is busy, so this pause blocks
  #untilPause = PAUSE_EVERY;
  #pause() {
    if ((this.#untilPause -= size) >= size) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
    this.#untilPause = PAUSE_EVERY;
  }

  #sent = () => {
    if (--this.#queued === 0) this.#drained();
  };

  send(message) {
    this.#queued++;
    if (this.#process.send(message, this.#sent)) return;
    return new Promise((resolve) => this.#drained = resolve);
  }

  async sendMany(n) {
    for (let i = 0; i < n; i++) {
      const full = this.send(messages[i % messages.length]);
      if (full !== undefined) await full;
    }
  }

  /** Resolves to the last of the next n messages; some may have come before the call. */
  receive(n) {
    this.#expected += n;
    return n === 0
      ? undefined
      : new Promise((resolve) => this.#arrived = resolve);
  }
}

async function parent(end, n) {
  switch (workload) {
    case "roundtrip":
      for (let i = 0; i < n; i++) {
        const reply = end.receive(1);
        end.send(message);
        await reply;
      }
      return n;
    case "both": {
      const received = end.receive(n + 1); // the last is what the other side received
      await end.sendMany(n);
      return n + await received;
    }
    default: {
      const received = end.receive(1);
      await end.sendMany(n);
      return await received;
    }
  }
}

async function child(end, n) {
  const received = end.receive(n);
  if (workload === "both") await end.sendMany(n);
  await received;
  end.send(n);
}

function start() {
  return fork(import.meta.filename, ["child", ...process.argv.slice(2)], {
    serialization: workload === "records" || workload === "calls"
      ? "json"
      : "advanced",
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
}

function exited(process) {
  return new Promise((resolve) => process.on("exit", resolve));
}

function report(line) {
  console.log(JSON.stringify(line));
}

async function callInTurn(process) {
  const calls = new Map();
  process.on("message", ({ id, result }) => {
    calls.get(id)(result);
    calls.delete(id);
  });
  let id = 0;
  const add = (...params) =>
    new Promise((resolve) => {
      calls.set(++id, resolve);
      process.send({ id, params });
    });
  const call = async (n) => {
    for (let i = 0; i < n; i++) {
      if (await add(i, 1) !== i + 1) throw new Error("The sum is wrong");
    }
  };
  await call(warm);
  const began = performance.now();
  await call(count);
  report({ messages: count, seconds: (performance.now() - began) / 1000 });
  process.disconnect();
}

if (isChild) {
  if (workload === "calls") {
    process.on("message", ({ id, params: [a, b] }) => {
      process.send({ id, result: a + b });
    });
  } else if (workload === "roundtrip" || workload === "children") {
    process.on("message", (message) => process.send(message));
  } else if (workload === "spawn") {
    process.on("message", () => {});
    process.send(message);
  } else {
    const end = new End(process);
    await child(end, warm);
    await child(end, count);
  }
} else if (workload === "calls") {
  await callInTurn(start());
} else if (workload === "children") {
  const began = performance.now();
  await Promise.all(Array.from({ length: count }, async () => {
    const process = start();
    const exit = exited(process);
    const end = new End(process);
    for (let i = 0; i < EXCHANGES; i++) {
      const reply = end.receive(1);
      end.send(message);
      await reply;
    }
    process.disconnect();
    await exit;
  }));
  report({
    messages: count * EXCHANGES,
    seconds: (performance.now() - began) / 1000,
  });
} else if (workload === "spawn") {
  let milliseconds = 0;
  for (let i = 0; i < warm + count; i++) {
    const began = performance.now();
    const process = start();
    const exit = exited(process);
    await new Promise((resolve) => process.once("message", resolve));
    if (i >= warm) milliseconds += performance.now() - began;
    process.disconnect();
    await exit;
  }
  report({ messages: count, seconds: milliseconds / 1000 });
} else {
  const other = start();
  const end = new End(other);
  await parent(end, warm);
  const input = workload === "slow"
    ? process.stdin[Symbol.asyncIterator]()
    : undefined;
  if (input !== undefined) {
    report({ pids: [process.pid, other.pid] });
    await input.next();
  }
  const began = performance.now();
  const messages = await parent(end, count);
  report({ messages, seconds: (performance.now() - began) / 1000 });
  if (input !== undefined) {
    await input.next();
    process.stdin.destroy();
  }
  other.disconnect();
}
