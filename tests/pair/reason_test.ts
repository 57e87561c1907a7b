import { assertEquals, assertStringIncludes } from "@std/assert";
import { ConnectError } from "../../pair.ts";
import { refusal, temporaryDirectory, writeModule } from "./sandbox.ts";

/** What ConnectError says after how the child exited. */
async function reasonOf(code: string): Promise<string | undefined> {
  await using root = await temporaryDirectory();
  const child = await writeModule(root.path, { "child.ts": code });
  const message = await refusal(child, {}, ConnectError);
  const said =
    /^Cannot start module file:.*child\.ts \(child \d+\): it exited with code (\d+) before it connected(.*)$/
      .exec(message);
  return said?.slice(1).join("");
}

Deno.test("ConnectError says what a module threw while it was loaded", async () => {
  assertEquals(
    await reasonOf(`throw new TypeError("no taco");`),
    "1: no taco",
  );
  assertEquals(await reasonOf(`throw "a string";`), "1: a string");
  assertEquals(
    await reasonOf(`await Promise.reject(new Error("later\\nand on"));`),
    "1: later and on",
  );
  assertStringIncludes(
    await reasonOf(`import "./missing.ts";`) ?? "",
    "1: Module not found",
  );
  assertStringIncludes(
    await reasonOf(`import "/etc/hostname" with { type: "text" };`) ?? "",
    `1: Requires read access to "/etc/hostname"`,
  );
  assertStringIncludes(
    await reasonOf(`const taco = ;`) ?? "",
    "1: SyntaxError",
  );
});

Deno.test("ConnectError gives no reason where a module gave none", async () => {
  assertEquals(await reasonOf(`Deno.exit(3);`), "3");
  assertEquals(await reasonOf(``), "0: does it call connectToParent()?");
  assertEquals(await reasonOf(`queueMicrotask(() => { throw 1; });`), "1");
});

Deno.test("ConnectError shows no control characters, and not all of a long reason", async () => {
  const said = await reasonOf(
    `throw new Error("\\x1b[31mred\\x1b[2J\\u202e\\x9b" + "x".repeat(100_000));`,
  );
  assertEquals(said, `1: red\uFFFD[2J\uFFFD\uFFFD${"x".repeat(4_079)}`);
});
