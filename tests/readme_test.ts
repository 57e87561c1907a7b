import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  assertPrints,
  examplesIn,
  makeProject,
  printedBy,
  run,
} from "./examples.ts";
import { fileURLToPath } from "node:url";
import { findNode, findPython, findRuby, missing } from "./programs.ts";

const ROOT = new URL("../", import.meta.url);
const README = await Deno.readTextFile(new URL("README.md", ROOT));

/** Where the repository is on the web: the one place to change it. README, which JSR shows too, has absolute links. */
const REPOSITORY = "https://github.com/socketpair/socketpair";
const PAGES = `${REPOSITORY}/blob/main/`;
const PICTURES = `${
  REPOSITORY.replace("github", "raw.githubusercontent")
}/main/`;
const OTHERS = ["https://jsr.io/@socketpair/socketpair/"];

const MAX_LINES = 250;

const ruby = await findRuby();
const python = await findPython();
const node = await findNode();

const EXAMPLES = examplesIn(README);

function exampleOf(name: string) {
  const example = EXAMPLES.find((example) => example.name === name);
  assert(example, `README has no example ${name}`);
  return example;
}

/** The commands for a clone, without what stands for `deno` in them. */
function commands(): string[][] {
  const [, block = ""] = /```sh\n(npx[^]*?)```/.exec(README) ?? [];
  return block.trimEnd().split("\n").map((line) => {
    assertMatch(line, /^npx -y deno@[0-9.]+ /);
    return line.split(" ").slice(3);
  });
}

/** The npm packages in a cache. */
async function downloadedTo(cache: string): Promise<string[]> {
  const [registry] = await Array.fromAsync(Deno.readDir(`${cache}/npm`));
  const packages = await Array.fromAsync(
    Deno.readDir(`${cache}/npm/${registry?.name}`),
  );
  return packages.map(({ name }) => name);
}

async function copyPeer(directory: string, name: string) {
  await Deno.copyFile(
    new URL(`tests/peers/${name}`, ROOT),
    `${directory}/${name}`,
  );
}

Deno.test("README has at most 250 lines", () => {
  assertLessOrEqual(README.trimEnd().split("\n").length, MAX_LINES);
});

Deno.test("README has a demo that prints the given lines and downloads only what it imports, and a command for the tests", async () => {
  const [demo = [], test] = commands();
  assertEquals(test, ["test", "-A"]);
  // On a machine that has never run Deno
  const cache = await Deno.makeTempDir();
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: demo,
    cwd: ROOT,
    env: { DENO_DIR: cache },
  }).output();
  // The packages that only tests import are not downloaded: `npm-lazy-caching` in deno.json
  assertEquals(await downloadedTo(cache), ["deno-std"]);
  await Deno.remove(cache, { recursive: true });
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

Deno.test("README has links and pictures that work on JSR too, and lead to files that exist", async () => {
  const links = README.replace(/```[^]*?```/g, "").matchAll(/\]\(([^)\s]+)\)/g);
  const paths = new Set<string>();
  for (const [, link = ""] of links) {
    if (OTHERS.some((other) => link.startsWith(other))) continue;
    const base = [PAGES, PICTURES].find((base) => link.startsWith(base));
    assert(base !== undefined, link);
    const path = link.slice(base.length);
    await Deno.stat(new URL(path, ROOT));
    paths.add(path);
  }
  for await (const { name } of Deno.readDir(new URL("docs/", ROOT))) {
    assert(!name.endsWith(".md") || paths.has(`docs/${name}`), name);
  }
});

Deno.test("README shows the child in Ruby that the tests run", async () => {
  const code = await Deno.readTextFile(new URL("tests/peers/echo.rb", ROOT));
  assertStringIncludes(README, `\`\`\`ruby\n${code}\`\`\`\n`);
});

Deno.test("README example parent.ts prints what it says", async () => {
  await assertPrints(exampleOf("parent.ts"), EXAMPLES);
});

for (
  const { language, file, ignore, command } of [
    { language: "ruby", file: "echo.rb", ...ruby },
    { language: "python", file: "echo.py", ...python },
  ]
) {
  Deno.test({
    name: `README example ruby.ts prints what it says with ${file}`,
    ignore,
    async fn() {
      assert(command, missing);
      const { code, ...example } = exampleOf("ruby.ts");
      const inLanguage = code
        .replace('"ruby"', JSON.stringify(command))
        .replace("echo.rb", file)
        .replace("from ruby", `from ${language}`);
      await assertPrints({ ...example, code: inLanguage }, [
        { ...example, code: inLanguage },
      ], (directory) => copyPeer(directory, file));
    },
  });
}

Deno.test({
  name: "README example mcp.ts prints what it says",
  ignore: node.ignore,
  async fn() {
    assert(node.command, missing);
    const example = exampleOf("mcp.ts");
    // npx starts what is installed, and asks no registry
    await assertPrints(example, [example], (directory) =>
      Deno.symlink(
        fileURLToPath(new URL("tests/peers/node/node_modules", ROOT)),
        `${directory}/node_modules`,
      ));
  },
});

Deno.test("README tells the least permissions of a parent", async () => {
  const flags =
    /^deno run (--allow-run .*) parent\.ts$/m.exec(README)?.[1]?.split(" ") ??
      [];
  assertEquals(flags.length, 4);
  const directory = await makeProject(EXAMPLES);
  await Deno.mkdir(`${directory}/sockets`);
  const { code } = exampleOf("parent.ts");
  const inDirectory = code.replace(
    "{ serialization",
    `{ directory: "${directory}/sockets", serialization`,
  );
  await Deno.writeTextFile(`${directory}/parent.ts`, inDirectory);
  const scoped = flags.map((flag) =>
    flag.replace("/run/app", `${directory}/sockets`)
  );
  assertEquals(
    await run(directory, ["--no-prompt", ...scoped, "parent.ts"]),
    printedBy(code),
  );
  await Deno.remove(directory, { recursive: true });
});
