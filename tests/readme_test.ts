import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { findPython, findRuby } from "./programs.ts";

const ROOT = new URL("../", import.meta.url);
const README = await Deno.readTextFile(new URL("README.md", ROOT));

const ruby = await findRuby();
const python = await findPython();

/** The examples by their names, `// parent.ts`; those without one are numbered. */
function examples(): Map<string, string> {
  const files = new Map<string, string>();
  for (const [, code = ""] of README.matchAll(/```ts[^\n]*\n([^]*?)```/g)) {
    const name = /^\/\/ (\w+\.ts)\n/.exec(code)?.[1];
    files.set(name ?? `example${files.size}.ts`, code);
  }
  return files;
}

/** What an example says that it prints: the comments behind `console.log()`. */
function printedBy(code: string): string {
  return [...code.matchAll(/console\.log\(.*\/\/ (.*)\n/g)].map(([, text]) =>
    `${text}\n`
  ).join("");
}

async function makeProject(): Promise<string> {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  for (const [name, code] of examples()) {
    await Deno.writeTextFile(`${directory}/${name}`, code);
  }
  for (const name of ["echo.rb", "echo.py"]) {
    await Deno.copyFile(
      new URL(`tests/peers/${name}`, ROOT),
      `${directory}/${name}`,
    );
  }
  await Deno.mkdir(`${directory}/photos`);
  await Deno.writeTextFile(`${directory}/photos/a.txt`, "taco cat");
  const { links, imports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const configuration = {
    imports: {
      ...imports,
      "@socketpair/socketpair": new URL("mod.ts", ROOT).href,
      "@socketpair/socketpair/descriptors":
        new URL("descriptors.ts", ROOT).href,
    },
    links: links.map((link: string) => fileURLToPath(new URL(link, ROOT))),
  };
  await Deno.writeTextFile(
    `${directory}/deno.json`,
    JSON.stringify(configuration),
  );
  return directory;
}

async function run(directory: string, args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...args],
    cwd: directory,
    env: { LANG: "C" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
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

for (const [name, code] of examples()) {
  if (/child/.test(name)) continue;
  Deno.test({
    name: `README example ${name} prints what it says`,
    ignore: name === "ruby.ts" && ruby.ignore,
    async fn() {
      assertNotEquals(printedBy(code), "");
      const directory = await makeProject();
      assertEquals(await run(directory, ["-A", name]), printedBy(code));
      await Deno.remove(directory, { recursive: true });
    },
  });
}

Deno.test({
  name: "README example ruby.ts does the same with echo.py",
  ignore: python.ignore,
  async fn() {
    const directory = await makeProject();
    const code = examples().get("ruby.ts")?.replace(
      '"ruby"',
      JSON.stringify(python.command),
    ).replace("echo.rb", "echo.py");
    await Deno.writeTextFile(`${directory}/python.ts`, code ?? "");
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
  const directory = await makeProject();
  await Deno.mkdir(`${directory}/sockets`);
  const code = examples().get("parent.ts")?.replace(
    "{ serialization",
    `{ directory: "${directory}/sockets", serialization`,
  );
  await Deno.writeTextFile(`${directory}/parent.ts`, code ?? "");
  const scoped = flags.map((flag) =>
    flag.replace("/run/app", `${directory}/sockets`)
  );
  // Only a package on this machine, not one of JSR, has its configuration beside the parent.
  const read = scoped.map((flag) =>
    flag.startsWith("--allow-read=") ? `${flag},${directory}/deno.json` : flag
  );
  assertEquals(read.length, 4);
  assertEquals(
    await run(directory, ["--no-prompt", ...read, "parent.ts"]),
    "tac ocat\n",
  );
  await Deno.remove(directory, { recursive: true });
});
