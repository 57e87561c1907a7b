import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertThrows,
} from "@std/assert";
import * as v from "valibot";
import * as z from "zod";
import {
  bytes,
  InvalidMessageError,
  json,
  type StandardSchemaV1,
} from "../../channel.ts";
import { channels, encoder, end } from "./serialized_channels.ts";

const libraries = [
  {
    name: "Zod",
    receive: z.object({ price: z.number(), count: z.number().default(1) }),
    send: z.object({ dish: z.string().transform((dish) => dish.length) }),
    issue: "price: Invalid input: expected number, received string",
  },
  {
    name: "Valibot",
    receive: v.object({ price: v.number(), count: v.optional(v.number(), 1) }),
    send: v.object({
      dish: v.pipe(v.string(), v.transform((dish) => dish.length)),
    }),
    issue: 'price: Invalid type: Expected number but received "cheap"',
  },
];

for (const { name, receive, send, issue } of libraries) {
  Deno.test(`json() checks with ${name} what is received, and one that does not fit rejects alone`, async () => {
    const [ours, theirs] = channels(json({ receive, send }), json());
    for (const price of ["cheap", 3]) await theirs.send({ price });
    const error = await assertRejects(
      () => ours.receive(),
      InvalidMessageError,
    );
    assertEquals(error.message, `Cannot receive message: ${issue}`);
    assertEquals(error.name, "InvalidMessageError");
    assertEquals(error.issues.length, 1);
    assertInstanceOf(error, TypeError);
    const message = await ours.receive();
    const count: number | undefined = message?.count;
    assertEquals(count, 1);
    assertEquals(message, { price: 3, count: 1 });
    await end(ours, theirs);
  });

  Deno.test(`json() checks with ${name} what is sent, and sends it as it is`, async () => {
    const [ours, theirs] = channels(json({ receive, send }), json());
    const wrong: unknown = { dish: 7 };
    await assertRejects(
      // deno-lint-ignore no-explicit-any -- a caller without types
      () => ours.send(wrong as any),
      InvalidMessageError,
      "Cannot send message: dish: Invalid",
    );
    await ours.send({ dish: "taco" });
    assertEquals(await theirs.receive(), { dish: "taco" });
    await end(ours, theirs);
  });
}

Deno.test("json() checks what is sent with the schema of what is received unless there is another", async () => {
  const [ours, theirs] = channels(
    json({ receive: z.object({ n: z.number() }) }),
    bytes(),
  );
  // deno-lint-ignore no-explicit-any -- a caller without types
  await assertRejects(() => ours.send({} as any), InvalidMessageError);
  await ours.send({ n: 1 });
  assertEquals(await theirs.receive(), encoder.encode('{"n":1}'));
  await end(ours, theirs);
});

function schemaOf(
  validate: StandardSchemaV1["~standard"]["validate"],
): StandardSchemaV1 {
  return { "~standard": { version: 1, vendor: "taco", validate } };
}

Deno.test("json() refuses an asynchronous schema at once, and nothing is left unhandled", () => {
  const schemas = [
    schemaOf((value) => Promise.resolve({ value })),
    schemaOf(() => Promise.reject(new Error("of its own"))),
    z.string().refine(() => Promise.resolve(true)),
  ];
  for (const schema of schemas) {
    const { serialize, deserialize } = json({ receive: schema });
    for (
      const [action, call] of [
        ["send", () => serialize("a")],
        ["receive", () => deserialize(encoder.encode('"a"'))],
      ] as const
    ) {
      const error = assertThrows(call, TypeError);
      assert(!(error instanceof InvalidMessageError));
      assertEquals(
        error.message,
        `Cannot ${action} message: its schema is asynchronous, and only synchronous ones can be used`,
      );
    }
  }
});

Deno.test("InvalidMessageError names the paths of up to 5 issues", () => {
  const issues = [
    { message: "it is wrong" },
    { message: "no number", path: ["orders", { key: 0 }, "price"] },
    { message: "no symbol", path: [Symbol("taco")] },
    ...Array.from("1234", (message) => ({ message, path: [] })),
  ];
  const { deserialize } = json({ receive: schemaOf(() => ({ issues })) });
  const error = assertThrows(
    () => deserialize(encoder.encode("1")),
    InvalidMessageError,
  );
  assertEquals(error.issues, issues);
  assertEquals(
    error.message,
    "Cannot receive message: it is wrong; orders.0.price: no number; Symbol(taco): no symbol; 1; 2; and 2 more",
  );
});
