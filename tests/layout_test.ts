import { assert, assertEquals } from "@std/assert";
import {
  findDocumentationErrors,
  findInternalExports,
  findLongFiles,
  findSourcesOutsideLayers,
  findWrongImports,
  findWrongPublishing,
} from "./layout.ts";
import { findIn } from "./trees.ts";

const ROOT = new URL("../", import.meta.url);

const RULES = {
  "no file is too long to read in one sitting": findLongFiles,
  "every source is in a layer": findSourcesOutsideLayers,
  "imports run down only, and none is circular": findWrongImports,
  "no entry point exports an @internal name": findInternalExports,
  "the documentation of each entry point is complete": findDocumentationErrors,
  "every source is published, and nothing else": findWrongPublishing,
};

for (const [rule, find] of Object.entries(RULES)) {
  Deno.test(`Layout: ${rule}`, async () => {
    assertEquals(await find(ROOT), []);
  });
}

// A project that vendors the sources checks them with its own configuration
Deno.test("Entry points have no type errors without compiler options, or with strict: false", async () => {
  const { imports, exports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  await Promise.all([{}, { strict: false }].map(async (compilerOptions) => {
    const config = await Deno.makeTempFile({ suffix: ".json" });
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
    await Deno.remove(config);
    assert(success, new TextDecoder().decode(stderr));
  }));
});

Deno.test("CONTRIBUTING.md names files that exist", async () => {
  const text = await Deno.readTextFile(new URL("CONTRIBUTING.md", ROOT));
  const paths = text.match(/[a-z][\w/]*\.ts\b/g) ?? [];
  assert(paths.length > 0);
  for (const path of paths) await Deno.stat(new URL(path, ROOT));
});

const CONFIGURATION = JSON.stringify({
  name: "@a/package",
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
      "channel.ts has 601 lines: the limit is 600",
      "framing/encoder.ts has 451 lines: the limit is 450",
      "tests/pair/b_test.ts has 1001 lines: the limit is 1000",
    ],
  );
});

Deno.test("findSourcesOutsideLayers() finds sources that are in no layer", async () => {
  assertEquals(
    await findIn(findSourcesOutsideLayers, {
      "mod.ts": "",
      "pair/child.ts": "",
      "tests/any_test.ts": "",
      "utils.ts": "",
      "src/a.ts": "",
    }),
    ["src/a.ts is in no layer", "utils.ts is in no layer"],
  );
});

Deno.test("findWrongImports() lets a public module import its parts, a part its siblings, and both all layers below", async () => {
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
      "channel/queue.ts:1 imports channel.ts: a part may not import its own public module",
      "channel/queue.ts:2 imports pair.ts: imports run down only",
      "channel/queue.ts:3 imports child.ts: imports run down only",
      "channel/queue.ts:4 imports descriptors/libc.ts: imports run down only",
      "descriptors.ts:1 imports channel/queue.ts: parts are for their own layer and the next one up",
      "mod.ts:1 imports child.ts: modules of one layer may not import each other",
      "mod.ts:1 imports tests/fake.ts: it is in no layer",
    ],
  );
});

Deno.test("findWrongImports() finds circular imports, also of types and dynamic ones", async () => {
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

Deno.test("findInternalExports() finds @internal names, also re-exported ones", async () => {
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

Deno.test("findDocumentationErrors() finds missing documentation in each entry point", async () => {
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

Deno.test("findWrongPublishing() finds unpublished sources, and published files that are not for users", async () => {
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
