import fc from "fast-check";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { descent, isMovable } from "../../pair/links.ts";
import { isInside } from "../../pair/paths.ts";
import { temporaryDirectory } from "./sandbox.ts";

/** A symbolic link: where it lies, and what it says. */
interface Link {
  folder: string[];
  text: string[];
  isAbsolute: boolean;
}

const name = fc.constantFrom("a", "b");
const step = fc.constantFrom("a", "b", "l", "m", "..", "..");
const link: fc.Arbitrary<Link> = fc.record({
  folder: fc.array(name, { maxLength: 2 }),
  text: fc.array(step, { minLength: 1, maxLength: 4 }),
  isAbsolute: fc.boolean(),
});
const path = fc.array(step, { minLength: 1, maxLength: 8 });

/** What a world may have, and whether it is rearranged by a module that may write. */
interface Rule {
  accepts(text: string, depth: number, root: string): boolean;
  writes?: boolean;
}

/** Folders `a` and `b`, two levels down, with a file in each. */
async function makeFolders(directory: string, depth = 2) {
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/f`, "");
  if (depth === 0) return;
  for (const name of ["a", "b"]) {
    await makeFolders(`${directory}/${name}`, depth - 1);
  }
}

/** The files that are found inside and outside by paths whose text stays in a directory. */
async function walk(
  { accepts, writes = false }: Rule,
  { links, paths }: { links: Link[]; paths: string[][] },
): Promise<{ inside: number; outside: string[] }> {
  await using base = await temporaryDirectory();
  const root = `${base.path}/a/b/root`;
  await makeFolders(base.path);
  await makeFolders(root);
  for (const { folder, text, isAbsolute } of links) {
    const content = (isAbsolute ? `${root}/` : "") + text.join("/");
    if (!accepts(content, folder.length, root)) continue;
    const place = [root, ...folder].join("/");
    await Deno.symlink(content, `${place}/l`)
      .catch(() => Deno.symlink(content, `${place}/m`)).catch(() => {});
  }
  if (writes) {
    for (const from of ["a/a/l", "a/b/l", "b/a/l", "b/l"]) {
      await Deno.rename(`${root}/${from}`, `${root}/l`).catch(() => {});
      await Deno.rename(`${root}/a/a`, `${root}/b/m`).catch(() => {});
    }
  }
  const texts = paths.filter((path) => {
    let depth = 0;
    return path.every((name) => (depth += name === ".." ? -1 : 1) >= 0);
  }).map((path) => `${[root, ...path].join("/")}/f`);
  // The kernel has the last word: Deno's own functions would normalize the paths.
  const { stdout } = await new Deno.Command("sh", {
    args: [
      "-c",
      'for path; do cd -P "${path%/*}" 2>/dev/null && [ -e f ] && pwd -P; done',
      "sh",
      ...texts,
    ],
    cwd: root,
  }).output();
  const found = new TextDecoder().decode(stdout).trim().split("\n");
  const outside = found.filter((path) => path !== "" && !isInside(path, root));
  return { inside: found.length - outside.length, outside };
}

const worlds = fc.sample(
  fc.record({
    links: fc.array(link, { minLength: 3, maxLength: 8 }),
    paths: fc.array(path, { minLength: 100, maxLength: 100 }),
  }),
  { numRuns: 40, seed: 23 },
);

async function walkAll(rule: Rule) {
  let inside = 0;
  const outside: string[] = [];
  for (const world of worlds) {
    const found = await walk(rule, world);
    inside += found.inside;
    outside.push(...found.outside);
  }
  return { inside, outside };
}

const deep: Rule["accepts"] = (text, depth, root) =>
  descent(text, depth, root) >= 0;
const rules: Record<string, Rule> = {
  "descent()": { accepts: deep },
  "isMovable() where the module may write": {
    accepts: (text, ...rest) => deep(text, ...rest) && isMovable(text),
    writes: true,
  },
};
const weaker: Record<string, Rule> = {
  "any link": { accepts: () => true },
  "any link that stays inside": {
    accepts: (text, depth, root) =>
      !text.startsWith("/") && descent(text, depth, root) >= -depth,
  },
};

for (const [name, rule] of Object.entries(rules)) {
  Deno.test(`${name} keeps each path inside whose text stays inside`, {
    ignore: Deno.build.os === "windows",
  }, async () => {
    const { inside, outside } = await walkAll(rule);
    assertEquals(outside, []);
    assertGreater(inside, 100);
  });
}

for (const [name, rule] of Object.entries(weaker)) {
  Deno.test(`a weaker rule lets a path out: ${name}`, {
    ignore: Deno.build.os === "windows",
  }, async () => {
    const { outside } = await walkAll(rule);
    assert(outside.length > 0);
  });
}

Deno.test("isMovable() accepts a name in the same folder only", () => {
  assertEquals(
    ["a", "..a", ".#child.ts", "", ".", "..", "a/b", "/a", "../a", "a/"]
      .filter(isMovable),
    ["a", "..a", ".#child.ts"],
  );
});
