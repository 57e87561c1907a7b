import { assertEquals } from "@std/assert";
import { findOldPhrases } from "./prose.ts";
import { findIn } from "./trees.ts";

Deno.test("Prose is present-day English", async () => {
  assertEquals(
    await findOldPhrases(new URL("../", import.meta.url)),
    [],
  );
});

Deno.test("findOldPhrases() finds phrases in pages, comments and messages, over line breaks too", async () => {
  const violations = await findIn(findOldPhrases, {
    "README.md":
      "A crash is no\nend. There is no end.\n\n```ts\nheed();\n```\n",
    "docs/a.md": "It waits for\never.\n",
    "pair.ts": [
      "/**",
      " * Keeps memory of one's",
      " * own.",
      " */",
      'throw new Error("The parent waits no more");',
      "Math.floor(1);",
    ].join("\n"),
    "tests/a_test.ts": "// Nobody is to be asked",
  });
  assertEquals(violations.map((violation) => violation.split(": write")[1]), [
    " is not a ...",
    " indefinitely",
    " stops, no longer",
    " your own",
  ]);
});
