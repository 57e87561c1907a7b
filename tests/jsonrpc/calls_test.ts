import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Channel, json } from "../../channel.ts";
import { type CallContext, JsonRpc, JsonRpcError } from "../../jsonrpc.ts";
import { ExitError, socketPair, spawnModule } from "../../pair.ts";
import { transformStreams } from "../channel/stream_pairs.ts";
import { connected, errorOf, RawPeer } from "./connections.ts";

/** A promise that a method waits for, and one that says that it waits. */
function gate() {
  const started = Promise.withResolvers<AbortSignal>();
  const opened = Promise.withResolvers<void>();
  return {
    started: started.promise,
    open: opened.resolve,
    async wait({ signal }: CallContext) {
      started.resolve(signal);
      const { promise, reject } = Promise.withResolvers<never>();
      signal.addEventListener("abort", () => reject(signal.reason));
      await Promise.race([opened.promise, promise]);
      return "opened";
    },
  };
}

Deno.test("JsonRpc.remote calls both ways at once", async () => {
  const left = {
    add: (a: number, b: number) => a + b,
    twice: (n: number): Promise<number> => a.remote.double(n),
  };
  const right = {
    double: (n: number) => b.remote.add(n, n),
    point: ({ x }: { x: number }) => ({ x, y: [x, null] }),
  };
  const [a, b] = connected(left, right);
  await using _a = a;
  await using _b = b;
  assertEquals(
    await Promise.all([
      b.remote.twice(21),
      a.remote.double(4),
      b.remote.add(1, 2),
      a.remote.point({ x: 1 }),
    ]),
    [42, 8, 3, { x: 1, y: [1, null] }],
  );
});

Deno.test("JsonRpc.remote can be returned from an async function, and has neither then() nor symbols", async () => {
  const [a, b] = connected({}, { then: () => "called" });
  await using _a = a;
  await using _b = b;
  assertStrictEquals(await Promise.resolve(a.remote), a.remote);
  assertEquals(Reflect.get(a.remote, "then"), undefined);
  assertEquals(Reflect.get(a.remote, Symbol.iterator), undefined);
  assertEquals(await a.request("then"), "called");
});

Deno.test("JsonRpc.request() rejects with what has no JSON form, and goes on", async () => {
  const [a, b] = connected({}, { echo: (value: unknown) => value });
  await using _a = a;
  await using _b = b;
  await assertRejects(() => a.remote.echo(1n), TypeError, "no JSON form");
  await assertRejects(() => a.notify("echo", [1n]), TypeError, "no JSON form");
  assertEquals(await a.remote.echo("taco"), "taco");
});

for (
  const [cancelMethod, key] of [
    ["$/cancelRequest", "id"],
    ["notifications/cancelled", "requestId"],
    ["stop", "id"],
  ] as const
) {
  Deno.test(`JsonRpc.request() cancels by ${cancelMethod} when its signal aborts`, async () => {
    await using peer = new RawPeer({}, { cancelMethod });
    const controller = new AbortController();
    const { signal } = controller;
    const call = peer.rpc.request("taco", [], { signal });
    await peer.receive();
    const reason = new Error("too slow");
    controller.abort(reason);
    assertStrictEquals(await call.catch((error: unknown) => error), reason);
    assertEquals(await peer.receive(), {
      jsonrpc: "2.0",
      method: cancelMethod,
      params: { [key]: 1 },
    });
    // A late answer is not an error.
    const late = { jsonrpc: "2.0", id: 1, result: "late" };
    await peer.assertAnswer(late, undefined);
    assertEquals(peer.errors, []);

    const aborted = peer.rpc.request("taco", [], { signal });
    assertStrictEquals(await aborted.catch((error: unknown) => error), reason);
    // Nothing of it was sent.
    await peer.assertAnswer({ jsonrpc: "2.0", method: "a" }, undefined);
  });

  Deno.test(`JsonRpc aborts the signal of a method at ${cancelMethod}`, async () => {
    const { wait, started } = gate();
    await using peer = new RawPeer({ wait, add: (a: number) => a }, {
      cancelMethod,
    });
    await peer.send({ jsonrpc: "2.0", id: "x", method: "wait" });
    const signal = await started;
    assert(!signal.aborted);
    const cancel = { jsonrpc: "2.0", method: cancelMethod };
    // Of no request, or of no sense.
    for (const params of [{ [key]: "y" }, {}, [], undefined]) {
      await peer.assertAnswer({ ...cancel, params }, undefined);
    }
    assert(!signal.aborted);
    await peer.assertAnswer(
      { ...cancel, params: { [key]: "x" } },
      key === "requestId" ? undefined : {
        jsonrpc: "2.0",
        id: "x",
        error: { code: -32800, message: "The call was cancelled" },
      },
    );
    assert(signal.aborted);
    assertEquals(peer.errors, []);
  });
}

Deno.test("JsonRpc.request() removes its listener from a signal when it is answered", async () => {
  await using peer = new RawPeer();
  const controller = new AbortController();
  const call = peer.rpc.request("taco", [], controller);
  await peer.receive();
  await peer.send({ jsonrpc: "2.0", id: 1, result: "cat" });
  assertEquals(await call, "cat");
  controller.abort();
  // No cancellation follows.
  await peer.assertAnswer({ jsonrpc: "2.0", method: "a" }, undefined);
});

Deno.test("JsonRpc passes { signal } as the last argument that a method declares", async () => {
  const signals: unknown[] = [];
  const methods = {
    none: () => "none",
    first(context: CallContext) {
      signals.push(context.signal);
    },
    third(a: string, b: unknown, { signal }: CallContext) {
      signals.push(signal);
      return [a, b === undefined];
    },
    named: ({ a }: { a: number }, { signal }: CallContext) => {
      signals.push(signal);
      return a;
    },
  };
  const [a, b] = connected({}, methods);
  await using _a = a;
  await using _b = b;
  assertEquals(await a.remote.none(), "none");
  await a.remote.first();
  assertEquals(await a.remote.third("a", "b"), ["a", false]);
  assertEquals(await a.request("third", ["a"]), ["a", true]);
  assertEquals(await a.request("named", { a: 7 }), 7);
  assertEquals(signals.length, 4);
  for (const signal of signals) assertInstanceOf(signal, AbortSignal);
});

Deno.test("JsonRpc runs no more than maxConcurrentRequests methods, in the order of their requests", async () => {
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const full = Promise.withResolvers<void>();
  const [a, b] = connected(
    {},
    {
      async work(n: number) {
        order.push(n);
        most = Math.max(most, ++running);
        if (running === 3) full.resolve();
        await full.promise;
        running--;
        return n;
      },
    },
    {},
    { maxConcurrentRequests: 3 },
  );
  await using _a = a;
  await using _b = b;
  const numbers = Array.from({ length: 50 }, (_, n) => n);
  assertEquals(
    await Promise.all(numbers.map((n) => a.remote.work(n))),
    numbers,
  );
  assertEquals(order, numbers);
  assertEquals(most, 3);
});

Deno.test("JsonRpc runs no more than maxConcurrentRequests methods of a batch", async () => {
  let running = 0;
  let most = 0;
  const methods = {
    async work() {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
    },
  };
  await using peer = new RawPeer(methods, { maxConcurrentRequests: 2 });
  const ids = Array.from({ length: 1000 }, (_, id) => id);
  await peer.send(ids.map((id) => ({ jsonrpc: "2.0", id, method: "work" })));
  assertEquals(
    await peer.receive(),
    ids.map((id) => ({ jsonrpc: "2.0", id, result: null })),
  );
  assertEquals(most, 2);
});

Deno.test("JsonRpc stops receiving at twice maxConcurrentRequests, and goes on when a method is done", async () => {
  const opened = Promise.withResolvers<void>();
  const [left, right] = transformStreams();
  const peer = new Channel(left, {
    serialization: json(),
    highWaterMark: 0,
  });
  const rpc = new JsonRpc(new Channel(right, { serialization: json() }), {
    methods: { wait: () => opened.promise },
    maxConcurrentRequests: 2,
  });
  const padding = "x".repeat(100_000);
  let sent = 0;
  const sending = (async () => {
    for (let id = 0; id < 50; id++) {
      await peer.send({
        jsonrpc: "2.0",
        id,
        method: "wait",
        params: [padding],
      });
      sent++;
    }
  })();
  // What is in the streams and its buffers, and 4 that were received.
  let same = 0;
  for (let before = sent; same < 20; before = sent) {
    await new Promise((done) => setTimeout(done));
    same = before === sent ? same + 1 : 0;
  }
  assert(sent >= 4 && sent < 20, String(sent));
  opened.resolve();
  const answered = new Set<unknown>();
  for await (const message of peer) {
    assert(typeof message === "object" && message && "id" in message);
    answered.add(message.id);
    if (answered.size === 50) break;
  }
  await sending;
  await peer.closeWrite();
  await rpc.closed;
  await peer.close();
});

Deno.test("JsonRpc receives answers at the limit: methods of 1,000 requests call back", async () => {
  const left = { next: (n: number) => n + 1 };
  const right = { work: (n: number) => b.remote.next(n) };
  const [a, b] = connected(left, right, { maxConcurrentRequests: 20 });
  await using _a = a;
  await using _b = b;
  const numbers = Array.from({ length: 1000 }, (_, n) => n);
  assertEquals(
    await Promise.all(numbers.map((n) => a.remote.work(n))),
    numbers.map((n) => n + 1),
  );
});

Deno.test("JsonRpc lets a method that makes its first call at the limit have its answer", async () => {
  const { wait, started, open } = gate();
  const left = { next: (n: number) => n + 1 };
  const right = {
    work: async (n: number, context: CallContext) => {
      await wait(context);
      return await b.remote.next(n);
    },
  };
  const [a, b] = connected(left, right, {}, { maxConcurrentRequests: 1 });
  await using _a = a;
  await using _b = b;
  const calls = [1, 2, 3, 4].map((n) => a.remote.work(n));
  await started;
  // It has received two, and stopped.
  for (let n = 0; n < 20; n++) await new Promise((done) => setTimeout(done));
  open();
  assertEquals(await Promise.all(calls), [2, 3, 4, 5]);
});

Deno.test("JsonRpc never runs a method whose request was cancelled while it waited", async () => {
  const { wait, open } = gate();
  const received = Promise.withResolvers<unknown>();
  let calls = 0;
  await using peer = new RawPeer({ wait, count: () => ++calls }, {
    maxConcurrentRequests: 2,
    onError: received.resolve,
  });
  const cancel = "$/cancelRequest";
  for (
    const message of [
      { id: 1, method: "wait" },
      { id: 2, method: "wait" },
      { id: 3, method: "count" },
      { method: cancel, params: { id: 3 } },
      { id: "of no call", result: null },
    ]
  ) await peer.send({ jsonrpc: "2.0", ...message });
  await received.promise; // all of them
  open();
  const answers = [];
  for (let n = 0; n < 3; n++) answers.push(await peer.receive());
  assertEquals(answers.at(2), errorOf(3, -32800, "The call was cancelled"));
  assertEquals(calls, 0);
});

Deno.test("new JsonRpc() refuses a limit that is no integer above 0", () => {
  const [stream] = transformStreams();
  const channel = new Channel(stream, { serialization: json() });
  for (const maxConcurrentRequests of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(
      () => new JsonRpc(channel, { maxConcurrentRequests }),
      RangeError,
      `Cannot use maxConcurrentRequests ${maxConcurrentRequests}: it must be an integer of 1 or more`,
    );
  }
});

Deno.test("JsonRpc rejects pending and later calls when the peer closes, answers what it asked, and closes the channel", async () => {
  const { wait, open } = gate();
  const [left, right] = transformStreams();
  const peer = new Channel(left, { serialization: json() });
  const channel = new Channel(right, { serialization: json() });
  const rpc = new JsonRpc(channel, { methods: { wait } });
  const call = rpc.request("taco");
  await peer.receive();
  await peer.send({ jsonrpc: "2.0", id: 7, method: "wait" });
  await peer.closeWrite();
  for (const pending of [call, rpc.request("later")]) {
    await assertRejects(() => pending, Error, "The channel was closed");
  }
  open();
  assertEquals(await peer.receive(), {
    jsonrpc: "2.0",
    id: 7,
    result: "opened",
  });
  assertEquals(await peer.receive(), null);
  await rpc.closed;
  await channel.closed;
  await peer.close();
});

Deno.test("JsonRpc rejects calls and closed with the reason of a channel that fails, and aborts methods", async () => {
  const { wait, started } = gate();
  const [left, right] = transformStreams();
  const peer = new Channel(left, { serialization: json() });
  const channel = new Channel(right, { serialization: json() });
  const errors: unknown[] = [];
  const rpc = new JsonRpc(channel, {
    methods: { wait },
    onError: (error) => errors.push(error),
  });
  const call = rpc.request("taco");
  await peer.send({ jsonrpc: "2.0", id: 7, method: "wait" });
  const signal = await started;
  const reason = new Error("enough");
  channel.abort(reason);
  for (const promise of [call, rpc.closed, rpc.request("a"), rpc.notify("b")]) {
    assertStrictEquals(await promise.catch((error: unknown) => error), reason);
  }
  assertStrictEquals(signal.reason, reason);
  assertEquals(errors, []);
  peer.abort();
});

Deno.test("JsonRpc closes its channel when it is disposed, rejects calls, and aborts methods", async () => {
  const { wait, started } = gate();
  const [left, right] = await socketPair();
  const serialization = json();
  const channel = new Channel(left, { serialization });
  const a = new JsonRpc(channel, { methods: { wait } });
  const other = gate();
  const b = new JsonRpc(new Channel(right, { serialization }), {
    methods: { pending: other.wait },
  });
  const call = b.request("wait");
  const own = a.request("nothing");
  await assertRejects(() => own, JsonRpcError);
  const signal = await started;
  const pending = a.request("pending");
  await other.started;
  await a[Symbol.asyncDispose]();
  await a.closed;
  await channel.closed;
  assertInstanceOf(signal.reason, DOMException);
  await assertRejects(() => pending, DOMException, "JsonRpc was disposed");
  await assertRejects(() => a.request("later"), DOMException, "disposed");
  await assertRejects(() => call, Error, "The channel was closed");
  await b[Symbol.asyncDispose]();
  await b.closed;
  await a[Symbol.asyncDispose]();
});

Deno.test("JsonRpc leaves no rejection unhandled that is not awaited", async () => {
  const [a, b] = connected({}, {});
  const turn = () => new Promise((done) => setTimeout(done));
  const calls = () => {
    void a.request("nothing");
    void a.request("nothing", [1n]);
    void a.request("nothing", [], { signal: AbortSignal.abort() });
    void a.notify("nothing", [1n]);
  };
  calls();
  await turn();
  await a[Symbol.asyncDispose]();
  calls();
  void a.closed;
  await turn();
  await b[Symbol.asyncDispose]();
});

Deno.test("JsonRpc rejects calls with the ExitError of a child that crashes", async () => {
  await using child = await spawnModule(
    new URL("./sandbox/child.ts", import.meta.url),
    { serialization: json() },
  );
  const { remote, closed } = new JsonRpc<
    typeof import("./sandbox/child.ts").methods
  >(child.channel);
  assertEquals(await remote.add(1, 2), 3);
  const pending = [
    remote.sleep(),
    ...Array.from({ length: 100 }, () => remote.add(1, 2)),
    remote.crash(),
    ...Array.from({ length: 100 }, () => remote.add(1, 2)),
  ];
  const [sleeping, ...rest] = await Promise.allSettled(pending);
  assert(sleeping?.status === "rejected");
  assertInstanceOf(sleeping.reason, ExitError);
  assertEquals(sleeping.reason.status.code, 7);
  const rejected = rest.filter(({ status }) => status === "rejected");
  assert(rejected.length >= 101);
  for (const outcome of rejected) {
    assert(outcome.status === "rejected");
    assertStrictEquals(outcome.reason, sleeping.reason);
  }
  for (const promise of [remote.add(1, 2), closed]) {
    const reason = await promise.catch((error: unknown) => error);
    assertStrictEquals(reason, sleeping.reason);
  }
});
