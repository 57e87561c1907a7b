import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  assertCompile,
  examplesIn,
  makeProject,
  printedBy,
  run,
} from "./examples.ts";
import { findPython, findRuby } from "./programs.ts";

const ROOT = new URL("../", import.meta.url);
const README = await Deno.readTextFile(new URL("README.md", ROOT));

const ruby = await findRuby();
const python = await findPython();

const EXAMPLES = examplesIn(README);

function codeOf(name: string): string {
  return EXAMPLES.find((example) => example.name === name)?.code ?? "";
}

/** A project of all examples, and what they need. */
async function makeReadmeProject(): Promise<string> {
  const directory = await makeProject(EXAMPLES);
  for (const name of ["echo.rb", "echo.py"]) {
    await Deno.copyFile(
      new URL(`tests/peers/${name}`, ROOT),
      `${directory}/${name}`,
    );
  }
  await Deno.mkdir(`${directory}/photos`);
  await Deno.writeTextFile(`${directory}/photos/a.txt`, "taco cat");
  return directory;
}

/** The commands of its first shell block, without what stands for `deno` in them. */
function commands(): string[][] {
  const [, block = ""] = /```sh\n([^]*?)```/.exec(README) ?? [];
  return block.trimEnd().split("\n").map((line) => {
    assertMatch(line, /^npx -y deno@[0-9.]+ /);
    return line.split(" ").slice(3);
  });
}

Deno.test("README begins with a command that prints what it says, and one for the tests", async () => {
  const [demo = [], test] = commands();
  assertEquals(test, ["test", "-A"]);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: demo,
    cwd: ROOT,
  }).output();
  const [, block = ""] = /```text\n([^]*?)```/.exec(README) ?? [];
  const processes = / (from|in) process (\d+)/g;
  const printed = new TextDecoder().decode(stdout);
  assertEquals(
    printed.replace(processes, " $1 process"),
    block.replace(processes, " $1 process"),
  );
  // Two processes, each in the places that the README gives it
  const [told, found] = [block, printed].map((text) => {
    const numbers = [...text.matchAll(processes)].map(([, , number]) => number);
    return numbers.map((number) => numbers.indexOf(number));
  });
  assertEquals(found, told);
});

Deno.test("README shows the children in Ruby and Python that the tests run", async () => {
  for (const [name, language] of [["echo.rb", "ruby"], ["echo.py", "python"]]) {
    const code = await Deno.readTextFile(new URL(`tests/peers/${name}`, ROOT));
    assertStringIncludes(README, `\`\`\`${language}\n${code}\`\`\`\n`);
  }
});

Deno.test("README names peer tests that exist", async () => {
  const tests = await Deno.readTextFile(
    new URL("tests/framing/peers_test.ts", ROOT),
  );
  const names = [
    ...README.matchAll(/`\.\.\. (?:speaks )?((?:with|calls)[^`]*)`/g),
  ].map(([, name = ""]) => name);
  assertEquals(names.length, 8);
  for (const name of names) {
    assert(
      tests.includes(name) || tests.includes(name.replaceAll('"', '\\"')),
      name,
    );
  }
});

Deno.test("README has examples that compile", async () => {
  await assertCompile(EXAMPLES);
});

for (const { name, code } of EXAMPLES) {
  if (/child/.test(name)) continue;
  Deno.test({
    name: `README example ${name} prints what it says`,
    ignore: name === "ruby.ts" && ruby.ignore,
    async fn() {
      assertNotEquals(printedBy(code), "");
      const directory = await makeReadmeProject();
      assertEquals(await run(directory, ["-A", name]), printedBy(code));
      await Deno.remove(directory, { recursive: true });
    },
  });
}

Deno.test({
  name: "README example ruby.ts does the same with echo.py",
  ignore: python.ignore,
  async fn() {
    const directory = await makeReadmeProject();
    const code = codeOf("ruby.ts").replace(
      '"ruby"',
      JSON.stringify(python.command),
    ).replace("echo.rb", "echo.py");
    await Deno.writeTextFile(`${directory}/python.ts`, code);
    assertEquals(
      await run(directory, ["-A", "python.ts"]),
      "hello from python\ntac ocat\n",
    );
    await Deno.remove(directory, { recursive: true });
  },
});

Deno.test("README tells the least permissions of a parent", async () => {
  const flags =
    /^deno run (--allow-run .*) parent\.ts$/m.exec(README)?.[1]?.split(" ") ??
      [];
  const directory = await makeReadmeProject();
  await Deno.mkdir(`${directory}/sockets`);
  const code = codeOf("parent.ts").replace(
    "{ serialization",
    `{ directory: "${directory}/sockets", serialization`,
  );
  await Deno.writeTextFile(`${directory}/parent.ts`, code);
  const scoped = flags.map((flag) =>
    flag.replace("/run/app", `${directory}/sockets`)
  );
  assertEquals(scoped.length, 4);
  assertEquals(
    await run(directory, ["--no-prompt", ...scoped, "parent.ts"]),
    "tac ocat\n",
  );
  await Deno.remove(directory, { recursive: true });
});
