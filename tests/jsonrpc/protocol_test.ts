/** Messages as they are on the wire: https://www.jsonrpc.org/specification */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import * as z from "zod";
import {
  Channel,
  InvalidMessageError,
  json,
  type Serialization,
  structured,
} from "../../channel.ts";
import { JsonRpc, JsonRpcError } from "../../jsonrpc.ts";
import { transformStreams } from "../channel/stream_pairs.ts";
import { errorOf, RawPeer, resultOf } from "./connections.ts";

const notified: unknown[][] = [];

const methods = {
  subtract: (minuend: number, subtrahend: number) => minuend - subtrahend,
  subtractNamed: (
    { minuend, subtrahend }: { minuend: number; subtrahend: number },
  ) => minuend - subtrahend,
  sum: (...numbers: number[]) => numbers.reduce((a, b) => a + b, 0),
  greet: (name: string, greeting = "hello") => `${greeting} ${name}`,
  later: () => Promise.resolve("later"),
  nothing_: () => {},
  update: (...params: unknown[]) => void notified.push(params),
  fail: () => {
    throw new RangeError("out of tacos");
  },
  failLater: () => Promise.reject(new Error("later")),
  failPlainly: () => {
    throw "a string";
  },
  failOddly: () => {
    throw Object.create(null);
  },
  refuse: () => {
    throw new JsonRpcError(404, "no taco", { left: 0 });
  },
  bigint: () => 1n,
  fn: () => () => {},
  own() {
    return this === methods;
  },
  notCallable: 1,
  get broken(): () => void {
    throw new Error("of the getter");
  },
};

function request(method: unknown, params?: unknown, id: unknown = 1) {
  return { jsonrpc: "2.0", method, params, id };
}

const noMethod = (name: string) =>
  errorOf(1, -32601, `There is no method ${name}`);
const notRequest = (id: unknown) =>
  errorOf(id, -32600, "The message is not a request");

const exchanges: Record<string, [message: unknown, answer: unknown][]> = {
  "calls methods with positional and named parameters": [
    [request("subtract", [42, 23]), resultOf(1, 19)],
    [request("subtract", [23, 42], "2"), resultOf("2", -19)],
    [
      request("subtractNamed", { subtrahend: 23, minuend: 42 }, 3),
      resultOf(3, 19),
    ],
    [request("later", null, 1.5), resultOf(1.5, "later")],
    [request("later", [], null), resultOf(null, "later")],
    [request("nothing_"), resultOf(1, null)],
    [request("own"), resultOf(1, true)],
  ],
  "gives no more arguments than were sent to methods that do not ask for more":
    [
      [request("sum", [1, 2, 3]), resultOf(1, 6)],
      [request("sum"), resultOf(1, 0)],
      [request("greet", ["taco"]), resultOf(1, "hello taco")],
      [request("greet", ["taco", "bye"]), resultOf(1, "bye taco")],
    ],
  "finds no method but own functions": [
    ...[
      "constructor",
      "__proto__",
      "toString",
      "hasOwnProperty",
      "valueOf",
      "__defineGetter__",
      "notCallable",
      "",
      "subtract ",
    ].map((name): [unknown, unknown] => [request(name), noMethod(name)]),
    [request("x".repeat(1000)), noMethod("x".repeat(100))],
  ],
  "answers what methods throw": [
    [request("fail"), errorOf(1, -32603, "out of tacos")],
    [request("failLater"), errorOf(1, -32603, "later")],
    [request("failPlainly"), errorOf(1, -32603, "a string")],
    [request("failOddly"), errorOf(1, -32603, "The method threw no error")],
    [request("broken"), errorOf(1, -32603, "of the getter")],
    [request("refuse"), {
      jsonrpc: "2.0",
      id: 1,
      error: { code: 404, message: "no taco", data: { left: 0 } },
    }],
  ],
  "refuses what is not a request": [
    [{ jsonrpc: "2.0", method: 1, params: "bar" }, notRequest(null)],
    [{ foo: "boo" }, notRequest(null)],
    [request("subtract", "bar"), notRequest(1)],
    [request("subtract", 7), notRequest(1)],
    [request("subtract", [], {}), notRequest(null)],
    [request("subtract", [], [1]), notRequest(null)],
    [request("subtract", [], true), notRequest(null)],
    [request(7), notRequest(null)],
    [{ method: "subtract", params: [1, 2], id: 1 }, notRequest(1)],
    [{ ...request("subtract"), jsonrpc: "1.0" }, notRequest(1)],
    ["null", notRequest(null)],
    ["1", notRequest(null)],
    ['"taco"', notRequest(null)],
    ["[]", notRequest(null)],
    ["{}", notRequest(null)],
  ],
  "does not answer notifications": [
    [{ jsonrpc: "2.0", method: "update", params: [1, 2] }, undefined],
    [{ jsonrpc: "2.0", method: "foobar" }, undefined],
    [{ jsonrpc: "2.0", method: "subtract", params: [1] }, undefined],
  ],
  "answers batches as batches": [
    ["[1]", [notRequest(null)]],
    ["[1,2]", [notRequest(null), notRequest(null)]],
    [[{ jsonrpc: "2.0", method: "update", params: ["batch"] }], undefined],
    [
      [
        request("sum", [1, 2, 4], "1"),
        { jsonrpc: "2.0", method: "update", params: [7] },
        request("subtract", [42, 23], "2"),
        { foo: "boo" },
        request("foo.get", { name: "myself" }, "5"),
        request("later", undefined, "9"),
      ],
      [
        resultOf("1", 7),
        resultOf("2", 19),
        notRequest(null),
        errorOf("5", -32601, "There is no method foo.get"),
        resultOf("9", "later"),
      ],
    ],
    [[[request("sum")]], [notRequest(null)]],
  ],
};

for (const [name, cases] of Object.entries(exchanges)) {
  Deno.test(`JsonRpc ${name}`, async () => {
    await using peer = new RawPeer(methods);
    for (const [message, answer] of cases) {
      await peer.assertAnswer(message, answer);
    }
    assertEquals(peer.errors, []);
  });
}

Deno.test("JsonRpc passes the parameters of notifications", () => {
  assertEquals(notified, [[1, 2], ["batch"], [7]]);
});

Deno.test("JsonRpc answers bad lines with -32700, reports them, and goes on", async () => {
  await using peer = new RawPeer(methods);
  for (const line of ["garbage", "", '{"jsonrpc": "2.0", "method', "[1,"]) {
    await peer.send(line);
    const answer = await peer.receive();
    const { error } = z.object({
      jsonrpc: z.literal("2.0"),
      id: z.null(),
      error: z.object({ code: z.literal(-32700), message: z.string() }),
    }).parse(answer);
    assert(error.message.startsWith("Cannot receive message: it is not JSON"));
    await peer.assertAnswer(request("subtract", [3, 1]), resultOf(1, 2));
  }
  assertEquals(peer.errors.length, 4);
  for (const error of peer.errors) assertInstanceOf(error, SyntaxError);
});

Deno.test("JsonRpc answers no more than 16 bad lines in a row", async () => {
  await using peer = new RawPeer(methods);
  for (let n = 0; n < 40; n++) await peer.send("garbage");
  await peer.send(request("subtract", [3, 1]));
  for (let n = 0; n < 16; n++) await peer.receive();
  assertEquals(await peer.receive(), resultOf(1, 2));
  assertEquals(peer.errors.length, 40);
});

Deno.test("JsonRpc continues after bad messages that reject with the same error object", async () => {
  const [a, b] = transformStreams();
  const plain = json();
  const error = new SyntaxError("bad");
  const serialization: Serialization<unknown> = {
    ...plain,
    deserialize(bytes) {
      if (bytes.length === 1) throw error;
      return plain.deserialize(bytes);
    },
  };
  const reported: unknown[] = [];
  const rpc = new JsonRpc(new Channel(b, { serialization }), {
    methods,
    onError: (error) => reported.push(error),
  });
  const peer = new Channel(a, { serialization: json() });
  for (let n = 0; n < 3; n++) await peer.send(n);
  await peer.send(request("subtract", [3, 1]));
  for (let n = 0; n < 3; n++) {
    assertEquals(await peer.receive(), errorOf(null, -32700, "bad"));
  }
  assertEquals(await peer.receive(), resultOf(1, 2));
  assertEquals(reported, [error, error, error]);
  await peer.closeWrite();
  await rpc.closed;
  await peer.close();
});

Deno.test("JsonRpc answers a result that cannot be sent with -32603, and reports it", async () => {
  await using peer = new RawPeer(methods);
  await peer.send(request("bigint"));
  assertEquals(
    await peer.receive(),
    errorOf(
      1,
      -32603,
      "Cannot send message: it has no JSON form: Do not know how to serialize a BigInt",
    ),
  );
  await peer.send([request("later"), request("bigint", [], 2)]);
  const answers = await peer.receive();
  assert(Array.isArray(answers));
  assertEquals(answers.map(({ id }) => id), [1, 2]);
  assertEquals(answers.map(({ error }) => error.code), [-32603, -32603]);
  assertEquals(peer.errors.length, 2);
  await peer.assertAnswer(
    request("fn"),
    errorOf(
      1,
      -32603,
      "The method returned a function, which has no JSON form",
    ),
  );
});

Deno.test("JsonRpc reports what no call can report, and answers no answer", async () => {
  await using peer = new RawPeer({
    fail() {
      throw new RangeError("taco");
    },
  });
  for (
    const answer of [
      resultOf(99, 1),
      errorOf(null, -32700, "Parse error"),
      [resultOf("a", 1), errorOf(98, 1, "of a batch")],
      { jsonrpc: "2.0", id: 97, error: "no object" },
    ]
  ) await peer.assertAnswer(answer, undefined);
  await peer.assertAnswer({ jsonrpc: "2.0", method: "fail" }, undefined);
  assertEquals(peer.errors.map(String), [
    "Error: The other side answered no call",
    "JsonRpcError: Parse error",
    "Error: The other side answered no call",
    "JsonRpcError: of a batch",
    "JsonRpcError: The other side gave no message",
    "RangeError: taco",
  ]);
});

Deno.test("JsonRpc ignores what onError throws", async () => {
  const throwers: (() => void)[] = [
    () => {
      throw new Error("taco");
    },
    () => Promise.reject(new Error("taco")),
  ];
  for (const onError of throwers) {
    await using peer = new RawPeer(methods, { onError });
    await peer.assertAnswer(resultOf(99, 1), undefined);
  }
});

Deno.test("JsonRpc sends requests and notifications as the standard has them, and takes answers in any order", async () => {
  await using peer = new RawPeer();
  const { rpc } = peer;
  const calls = [
    rpc.request("a", [1, 2]),
    rpc.request("b", { named: true }),
    rpc.request("c"),
    rpc.request("d"),
  ];
  await rpc.notify("e", ["x"]);
  await rpc.notify("f");
  const sent = [];
  for (let n = 0; n < 6; n++) sent.push(await peer.receive());
  assertEquals(sent, [
    { jsonrpc: "2.0", id: 1, method: "a", params: [1, 2] },
    { jsonrpc: "2.0", id: 2, method: "b", params: { named: true } },
    { jsonrpc: "2.0", id: 3, method: "c" },
    { jsonrpc: "2.0", id: 4, method: "d" },
    { jsonrpc: "2.0", method: "e", params: ["x"] },
    { jsonrpc: "2.0", method: "f" },
  ]);
  await peer.send([resultOf(3, "c"), resultOf(1, { error: null })]);
  // Some leave out a result that is undefined, or name both.
  await peer.send({ jsonrpc: "2.0", id: 4 });
  await peer.send({ id: 2, result: "b", error: null });
  assertEquals(await Promise.all(calls), [
    { error: null },
    "b",
    "c",
    undefined,
  ]);
  assertEquals(peer.errors, []);
});

Deno.test("JsonRpc rejects a call with the error that answers it", async () => {
  await using peer = new RawPeer();
  const cases: [error: unknown, expected: [number, string, unknown]][] = [
    [{ code: 7, message: "taco", data: [1] }, [7, "taco", [1]]],
    [{ code: -32000, message: "" }, [-32000, "", undefined]],
    ["odd", [-32603, "The other side gave no message", undefined]],
    [{ code: "7" }, [-32603, "The other side gave no message", undefined]],
    [false, [-32603, "The other side gave no message", undefined]],
  ];
  for (const [error, expected] of cases) {
    const call = peer.rpc.request("a");
    const request = await peer.receive();
    assert(typeof request === "object" && request && "id" in request);
    await peer.send({ jsonrpc: "2.0", id: request.id, error });
    const reason = await call.catch((error: unknown) => error);
    assertInstanceOf(reason, JsonRpcError);
    assertEquals([reason.code, reason.message, reason.data], expected);
    assertEquals(reason.name, "JsonRpcError");
  }
});

Deno.test("JsonRpc answers parameters that a method's schema refuses with -32602", async () => {
  const schema = z.object({ price: z.number() });
  await using peer = new RawPeer({
    buy(order: unknown) {
      const { error } = schema.safeParse(order);
      if (error) throw new InvalidMessageError("Cannot buy", error.issues);
      return "bought";
    },
  });
  await peer.assertAnswer(request("buy", { price: 1 }), resultOf(1, "bought"));
  await peer.assertAnswer(
    request("buy", { price: "cheap" }),
    errorOf(
      1,
      -32602,
      "Cannot buy: price: Invalid input: expected number, received string",
    ),
  );
});

Deno.test("JsonRpc refuses a message that the schema of its channel refuses with -32600", async () => {
  const [a, b] = transformStreams();
  const peer = new Channel(a, { serialization: json() });
  const schema = z.looseObject({ method: z.literal("taco") });
  const rpc = new JsonRpc(
    new Channel(b, { serialization: json({ receive: schema, send: z.any() }) }),
    { methods: { taco: () => "cat" } },
  );
  await peer.send(request("other"));
  assertEquals(
    await peer.receive(),
    errorOf(
      null,
      -32600,
      'Cannot receive message: method: Invalid input: expected "taco"',
    ),
  );
  await peer.send(request("taco"));
  assertEquals(await peer.receive(), resultOf(1, "cat"));
  await peer.closeWrite();
  await rpc.closed;
  await peer.close();
});

Deno.test("JsonRpc peers whose serializations differ stop answering each other", async () => {
  const [a, b] = transformStreams();
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const left = new JsonRpc(new Channel(a, { serialization: json() }), {
    onError,
  });
  const right = new JsonRpc(new Channel(b, { serialization: structured() }), {
    onError,
  });
  const call = left.request("taco");
  // The request, 16 answers to it and what follows from it, and 16 answers to those.
  while (errors.length < 33) await new Promise((done) => setTimeout(done));
  await right[Symbol.asyncDispose]();
  await left.closed;
  assertEquals(
    String(await call.catch(String)),
    "Error: The channel was closed",
  );
  assertEquals(errors.length, 33);
});

Deno.test("JsonRpc over structured() passes what JSON cannot", async () => {
  const [a, b] = transformStreams();
  const serialization = structured();
  const methods = { sizeOf: (map: Map<string, bigint>) => map.get("taco") };
  await using _server = new JsonRpc(new Channel(a, { serialization }), {
    methods,
  });
  await using client = new JsonRpc<typeof methods>(
    new Channel(b, { serialization }),
  );
  assertEquals(await client.remote.sizeOf(new Map([["taco", 7n]])), 7n);
  assertEquals(await client.remote.sizeOf(new Map()), null);
});
