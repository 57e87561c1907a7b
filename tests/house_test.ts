import { assert, assertEquals } from "@std/assert";
import { pathToFileURL } from "node:url";
import {
  findDocumentationErrors,
  findHomeless,
  findInternalExports,
  findLongFiles,
  findWrongImports,
  findWrongPublishing,
} from "./house.ts";

const ROOT = new URL("../", import.meta.url);

const RULES = {
  "no file is too long to be read in one sitting": findLongFiles,
  "every source is on a floor": findHomeless,
  "imports run down only, and in no circle": findWrongImports,
  "no entry point exports what is @internal": findInternalExports,
  "the documentation of each entry point is complete": findDocumentationErrors,
  "every source is published, and nothing else": findWrongPublishing,
};

for (const [rule, find] of Object.entries(RULES)) {
  Deno.test(`In this house ${rule}`, async () => {
    assertEquals(await find(ROOT), []);
  });
}

// Who has a copy of the sources has them checked by a configuration of their own
for (const strict of [true, false]) {
  Deno.test(`Entry points are right by the types of a configuration that says ${strict ? "nothing" : "strict: false"}`, async () => {
    const { imports, exports } = JSON.parse(
      await Deno.readTextFile(new URL("deno.json", ROOT)),
    );
    const compilerOptions = strict ? {} : { strict };
    const config = await Deno.makeTempFile({ suffix: ".json" });
    try {
      await Deno.writeTextFile(
        config,
        JSON.stringify({ compilerOptions, imports }),
      );
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "check",
          "--quiet",
          "--no-lock",
          `--config=${config}`,
          ...Object.values<string>(exports),
        ],
        cwd: ROOT,
        env: { NO_COLOR: "1" },
      }).output();
      assert(success, new TextDecoder().decode(stderr));
    } finally {
      await Deno.remove(config);
    }
  });
}

Deno.test("CONTRIBUTING.md names files that exist", async () => {
  const text = await Deno.readTextFile(new URL("CONTRIBUTING.md", ROOT));
  const paths = text.match(/[a-z][\w/]*\.ts\b/g) ?? [];
  assert(paths.length > 0);
  for (const path of paths) await Deno.stat(new URL(path, ROOT));
});

/** Make a small tree, and give what is found in it. */
async function findIn(
  find: (root: URL) => Promise<string[]>,
  files: Record<string, string>,
): Promise<string[]> {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  const root = pathToFileURL(`${directory}/`);
  try {
    for (const [path, text] of Object.entries(files)) {
      const url = new URL(path, root);
      await Deno.mkdir(new URL(".", url), { recursive: true });
      await Deno.writeTextFile(url, text);
    }
    return await find(root);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const CONFIGURATION = JSON.stringify({
  name: "@a/house",
  version: "1.0.0",
  license: "MIT",
  exports: { ".": "./mod.ts", "./pair": "./pair.ts" },
  publish: { include: ["*.ts", "deno.json", "notes.md"] },
});

Deno.test("findLongFiles() finds sources over 450 lines, channel.ts over 600 and tests over 1,000", async () => {
  const lines = (count: number) => "\n".repeat(count);
  assertEquals(
    await findIn(findLongFiles, {
      "framing.ts": lines(450),
      "framing/encoder.ts": lines(451),
      "channel.ts": lines(601),
      "tests/a_test.ts": lines(1000),
      "tests/pair/b_test.ts": lines(1001),
      "tests/node_modules/package/mod.ts": lines(2000),
      "notes.md": lines(2000),
    }),
    [
      "channel.ts has 601 lines: it may have 600",
      "framing/encoder.ts has 451 lines: it may have 450",
      "tests/pair/b_test.ts has 1001 lines: it may have 1000",
    ],
  );
});

Deno.test("findHomeless() finds sources that are on no floor", async () => {
  assertEquals(
    await findIn(findHomeless, {
      "mod.ts": "",
      "pair/child.ts": "",
      "tests/any_test.ts": "",
      "utils.ts": "",
      "src/a.ts": "",
    }),
    ["src/a.ts is on no floor", "utils.ts is on no floor"],
  );
});

Deno.test("findWrongImports() lets faces import rooms, rooms their neighbours, and all the floors below", async () => {
  assertEquals(
    await findIn(findWrongImports, {
      "mod.ts": 'export * from "./pair.ts"; export * from "./framing.ts";',
      "pair.ts": 'import "./pair/child.ts"; import "./channel.ts";',
      "pair/child.ts":
        'import "./permissions.ts"; import "../channel/queue.ts"; import "../framing.ts";',
      "pair/permissions.ts": "",
      "channel.ts": 'import "./channel/queue.ts";',
      "channel/queue.ts": "",
      "framing.ts": "",
    }),
    [],
  );
});

Deno.test("findWrongImports() finds imports of every kind that do not run down", async () => {
  assertEquals(
    await findIn(findWrongImports, {
      "mod.ts": 'import "./child.ts"; import "./tests/fake.ts";',
      "tests/fake.ts": "",
      "child.ts": "",
      "descriptors.ts": 'import "./channel/queue.ts";',
      "channel.ts": "export class Channel {}",
      "channel/queue.ts": [
        'import type { Channel } from "../channel.ts";',
        'export { pair } from "../pair.ts";',
        'await import("../child.ts");',
        'export type A = typeof import("../descriptors/libc.ts");',
        "export const channel: Channel | undefined = undefined;",
      ].join("\n"),
      "pair.ts": "export const pair = 1;",
      "descriptors/libc.ts": "",
    }),
    [
      "channel/queue.ts:1 imports channel.ts: a room may not import its own face",
      "channel/queue.ts:2 imports pair.ts: imports run down only",
      "channel/queue.ts:3 imports child.ts: imports run down only",
      "channel/queue.ts:4 imports descriptors/libc.ts: imports run down only",
      "descriptors.ts:1 imports channel/queue.ts: rooms are for their floor and the next one up",
      "mod.ts:1 imports child.ts: neighbours may not import each other",
      "mod.ts:1 imports tests/fake.ts: it is on no floor",
    ],
  );
});

Deno.test("findWrongImports() finds circles, of types and of what is loaded later too", async () => {
  assertEquals(
    await findIn(findWrongImports, {
      "pair.ts": 'import "./pair/a.ts";',
      "pair/a.ts": 'import type { B } from "./b.ts"; export type A = B;',
      "pair/b.ts": 'export type B = 1; await import("./c.ts");',
      "pair/c.ts": 'export type { A } from "./a.ts";',
    }),
    ["pair/a.ts -> pair/b.ts -> pair/c.ts -> pair/a.ts is a circle"],
  );
});

Deno.test("findInternalExports() finds @internal names, also those that are exported again", async () => {
  assertEquals(
    await findIn(findInternalExports, {
      "deno.json": CONFIGURATION,
      "mod.ts": 'export { hook, pair } from "./pair.ts";',
      "pair.ts": `
        /** For users. */
        export const pair = 1;
        /** @internal */
        export const hook = 2;`,
    }),
    [
      "mod.ts exports hook, which is @internal",
      "pair.ts exports hook, which is @internal",
    ],
  );
});

Deno.test("findDocumentationErrors() finds what is missing in each entry point alone", async () => {
  assertEquals(
    await findIn(findDocumentationErrors, {
      "deno.json": CONFIGURATION,
      "mod.ts": `
        /**
         * A module.
         * @module
         */
        export { pair } from "./pair.ts";
        export { type Options } from "./options.ts";`,
      "pair.ts": `
        /**
         * A pair.
         * @module
         */
        import type { Options } from "./options.ts";
        /** Returns the options. */
        export function pair(options: Options): Options { return options; }
        export const size: number = 1;`,
      "options.ts": `
        /** Options. */
        export interface Options {
          /** In bytes. */
          size: number;
        }`,
    }),
    [
      "pair.ts: public type 'pair' references private type 'Options'",
      "pair.ts: exported symbol is missing JSDoc documentation",
    ],
  );
});

Deno.test("findWrongPublishing() finds sources that are left out, and what is for us only", async () => {
  assertEquals(
    await findIn(findWrongPublishing, {
      "deno.json": CONFIGURATION,
      "LICENSE": "MIT",
      "mod.ts": "export const mod: number = 1;",
      "pair.ts": "export const pair: number = 1;",
      "pair/started_by_url.ts": "export const late: number = 1;",
      "notes.md": "For us.",
    }),
    ["pair/started_by_url.ts is not published", "notes.md is published"],
  );
});
