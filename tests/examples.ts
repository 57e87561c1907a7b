import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);

/** An example in a page: a file. */
export interface Example {
  name: string;
  code: string;
  /** Whether it runs by itself. */
  isRun: boolean;
  /** Why it cannot, where the page says so: ` ```ts ignore needs an SSH server `. */
  reason: string;
}

/**
 * The examples in a page by their names, `// parent.ts`; those without one are numbered. What has `child` in its name
 * is started by another.
 */
export function examplesIn(markdown: string): Example[] {
  const blocks = markdown.matchAll(/```ts([^\n]*)\n([^]*?)```/g);
  return Array.from(blocks, ([, info = "", code = ""], index) => {
    const name = /^\/\/ ([\w/]+\.ts)\b/.exec(code)?.[1] ??
      `example${index}.ts`;
    const isIgnored = info.includes("ignore");
    const reason = info.replace("ignore", "").trim();
    return { name, code, isRun: !isIgnored && !/child/.test(name), reason };
  });
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
    const path = `${directory}/${name}`;
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, code);
  }
  const { name: self, exports, links, imports, compilerOptions } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const entryPoints = Object.entries<string>(exports).map(([entry, path]) => [
    entry.replace(".", self),
    new URL(path, ROOT).href,
  ]);
  const configuration = {
    imports: { ...imports, ...Object.fromEntries(entryPoints) },
    links: links.map((link: string) => fileURLToPath(new URL(link, ROOT))),
    compilerOptions,
  };
  await Deno.writeTextFile(
    `${directory}/deno.json`,
    JSON.stringify(configuration),
  );
  return directory;
}

async function runDeno(
  directory: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: directory,
    env: {
      LANG: "C",
      NO_COLOR: "1",
      PATH: `${directory}/bin:${Deno.env.get("PATH")}`,
      ...env,
    },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Run `deno run` in a project, whose own `bin` is looked into first for commands. */
export function run(
  directory: string,
  args: string[],
  env?: Record<string, string>,
): Promise<string> {
  return runDeno(directory, ["run", ...args], env);
}

/** Check the types of the examples in a project, all at once: that takes hardly longer than one. */
export async function check(directory: string, examples: { name: string }[]) {
  await runDeno(directory, ["check", ...examples.map(({ name }) => name)]);
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
