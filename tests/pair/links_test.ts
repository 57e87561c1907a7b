import { assert, assertEquals, assertGreater } from "@std/assert";
import { descent, findEcho, isInside, isMovable } from "../../pair/links.ts";
import {
  type Accepts,
  normalize,
  Random,
  randomWalk,
  randomWorld,
  rearrange,
  Tree,
  type World,
} from "./links_model.ts";

interface Rule {
  accepts: Accepts;
  looksForEchoes: boolean;
  /** Whether the module rearranges what it may write. */
  writes?: boolean;
}

const rule: Rule = {
  accepts: ({ text, depth, root }) => descent(text, depth, root) >= 0,
  looksForEchoes: true,
};

const ruleForWriters: Rule = {
  ...rule,
  accepts: (link, writable) =>
    rule.accepts(link, writable) &&
    (!isInside(link.path, writable) || isMovable(link.text)),
  writes: true,
};

/** Whether a rule lets a module start, for it finds no echo. */
function starts({ tree, granted, directories }: World): boolean {
  const roots = directories.map((realPath) => ({
    path: granted.find((path) => tree.walk(path) === realPath) ?? realPath,
    realPath,
  }));
  const hasDescents = directories.some((directory) =>
    [...tree.nodes].some(([path, text]) =>
      text !== null && text !== "" && isInside(path, directory) &&
      descent(
          text,
          path.slice(directory.length).split("/").length - 2,
          directory,
        ) > 0
    )
  );
  return findEcho(roots, granted, hasDescents, (path) => tree.walk(path)) ===
    undefined;
}

/** The first path that is granted as text, and leads out of what is granted. */
function findEscape(
  { accepts, looksForEchoes, writes }: Rule,
  { trees, paths }: { trees: number; paths: number },
) {
  let inside = 0;
  let refused = 0;
  for (let seed = 0; seed < trees; seed++) {
    const random = new Random(seed);
    const world = randomWorld(random, accepts);
    if (looksForEchoes && !starts(world)) {
      refused++;
      continue;
    }
    if (writes) rearrange(random, world);
    const { tree, granted } = world;
    const real = granted.map((path) => tree.walk(path) ?? path);
    for (let count = 0; count < paths; count++) {
      const path = randomWalk(random, world);
      const text = normalize(path);
      if (!granted.some((place) => isInside(text, place))) continue;
      const place = tree.walk(path);
      if (place === undefined) continue;
      if (!real.some((directory) => isInside(place, directory))) {
        return { seed, path, text, place, granted, tree: [...tree.nodes] };
      }
      inside++;
    }
  }
  return { inside, refused };
}

/** Paths and trees to try; each tree takes 1 ms. */
const size = { trees: Number(Deno.env.get("TREES") ?? 1_000), paths: 100 };

for (const [name, tried] of Object.entries({ rule, ruleForWriters })) {
  Deno.test(`descent() and findEcho() let no path lead out whose text stays inside: ${name}`, () => {
    const found = findEscape(tried, size);
    assert("inside" in found, Deno.inspect(found, { iterableLimit: 200 }));
    assertGreater(found.inside, 5 * size.trees);
  });
}

const weaker: Record<string, Rule> = {
  "links to all places inside": {
    ...rule,
    accepts: ({ text, depth, root }) =>
      !text.startsWith("/") && descent(text, depth, root) >= -depth,
  },
  "no look for echoes": { ...rule, looksForEchoes: false },
  "links that can be moved": { ...rule, writes: true },
};

for (const [name, tried] of Object.entries(weaker)) {
  Deno.test(`findEscape() finds a way out where a rule is weaker: ${name}`, () => {
    assert("path" in findEscape(tried, size));
  });
}

Deno.test("Tree.walk() walks as the kernel does", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  const prefix = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (let seed = 0; seed < 40; seed++) {
      const random = new Random(seed);
      const world = randomWorld(random, () => true);
      const tree = new Tree();
      const base = `${prefix}/${seed}`;
      tree.makeDirectory(base);
      await Deno.mkdir(base);
      for (const [path, node] of world.tree.nodes) {
        if (path === "/") continue;
        const content = node?.startsWith("/") ? base + node : node;
        tree.nodes.set(base + path, content);
        if (content === null) await Deno.mkdir(base + path);
        else if (content === "") await Deno.writeTextFile(base + path, "");
        else await Deno.symlink(content, base + path);
      }
      const paths = Array.from(
        { length: 100 },
        () => `${base}${randomWalk(random, world)}`,
      );
      assertEquals(
        await identitiesOf(paths),
        await identitiesOf(paths.map((path) => tree.walk(path) ?? "/absent")),
      );
    }
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

/** What the kernel finds at each path: Deno's own functions would normalize them. */
async function identitiesOf(
  paths: string[],
): Promise<(string | undefined)[]> {
  const { stdout } = await new Deno.Command("stat", {
    args: ["-L", "-c", "%n %d:%i", "--", ...paths],
    stderr: "null",
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  const found = new Map(lines.map((line) => {
    const [path = "", identity = ""] = line.split(" ");
    return [path, identity];
  }));
  return paths.map((path) => found.get(path));
}

Deno.test("isMovable() accepts a name in the same folder only", () => {
  assertEquals(
    ["a", "..a", ".#child.ts", "", ".", "..", "a/b", "/a", "../a", "a/"]
      .filter(isMovable),
    ["a", "..a", ".#child.ts"],
  );
});
