import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);

/** An example in a page: a file. */
export interface Example {
  name: string;
  code: string;
  /** Whether it runs by itself. */
  isRun: boolean;
}

/** The examples in a page by their names, `// parent.ts`; those without one are numbered. */
export function examplesIn(markdown: string): Example[] {
  const blocks = markdown.matchAll(/```ts([^\n]*)\n([^]*?)```/g);
  return Array.from(blocks, ([, info = "", code = ""], index) => ({
    name: /^\/\/ (\w+\.ts)\b/.exec(code)?.[1] ?? `example${index}.ts`,
    code,
    isRun: !info.includes("ignore"),
  }));
}

/** What an example says that it prints: the comments behind `console.log()`. */
export function printedBy(code: string): string {
  return [...code.matchAll(/console\.log\(.*\/\/ (.*)\n/g)].map(([, text]) =>
    `${text}\n`
  ).join("");
}

/** Make a project that depends on this package, with these files. */
export async function makeProject(
  files: { name: string; code: string }[],
): Promise<string> {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  for (const { name, code } of files) {
    await Deno.writeTextFile(`${directory}/${name}`, code);
  }
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

/** Run `deno run` in a project, whose own `bin` is looked into first for commands. */
export async function run(
  directory: string,
  args: string[],
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...args],
    cwd: directory,
    env: {
      LANG: "C",
      PATH: `${directory}/bin:${Deno.env.get("PATH")}`,
    },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Run an example in a project of these files, and compare what it prints with what it says. */
export async function assertPrints(
  { name, code }: Example,
  files: Example[],
  prepare?: (directory: string) => Promise<void>,
) {
  const directory = await makeProject(files);
  await prepare?.(directory);
  assertNotEquals(printedBy(code), "");
  assertEquals(await run(directory, ["-A", name]), printedBy(code));
  await Deno.remove(directory, { recursive: true });
}

/** Check the types of all examples of a page at once, which takes as long as of one. */
export async function assertCompile(files: Example[]) {
  const directory = await makeProject(files);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", ...files.map(({ name }) => name)],
    cwd: directory,
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  await Deno.remove(directory, { recursive: true });
}
