import { assert, assertEquals, assertMatch } from "@std/assert";
import { drawAll, drawSummary } from "../bench/panels.ts";
import { readReport, type Report } from "../bench/results.ts";
import { FIGURES, insertFigures } from "../bench/tables.ts";
import { fileURLToPath } from "node:url";

const BENCH = new URL("../bench/", import.meta.url);
const ROOT = new URL("../../", import.meta.url);

const report = await readReport(
  fileURLToPath(new URL("results.json", BENCH)),
);

/** Removes what `deno fmt` changes: the widths of columns, and where lines of text and SVG break. */
function withoutFormat(text: string): string {
  return text.replace(/-{3,}/g, "---").replace(/\s+/g, " ")
    .replace(/> </g, "><").replace(/ \/>/g, "/>").trim();
}

async function assertSame(url: URL, made: string) {
  const text = await Deno.readTextFile(url);
  assertEquals(withoutFormat(text), withoutFormat(made));
}

const pictures: Record<string, (report: Report) => string> = {
  "results.svg": drawAll,
  "summary.svg": drawSummary,
};

if (report !== undefined) {
  for (const [name, draw] of Object.entries(pictures)) {
    Deno.test(`tests/bench/${name} shows the figures of results.json`, () =>
      assertSame(new URL(name, BENCH), draw(report)));
  }
}

for (const [path, figuresOf] of Object.entries(FIGURES)) {
  Deno.test(`${path} has the figures of results.json, and no others`, async () => {
    const url = new URL(path, ROOT);
    const page = await Deno.readTextFile(url);
    const [before, figures = "", after] = page.split(/<!-- .*figures.* -->\n/);
    // Outside of the figures are only limits and defaults, which are not measurements
    for (const text of [before, after]) {
      assert(text !== undefined, "the page has no place for figures");
      assertEquals(
        text.match(/\d[\d,.]* (?:ms|µs|s|MB\/s|messages\/s)\b/g),
        null,
      );
    }
    if (report === undefined) assertMatch(figures, /^\s*$/);
    else await assertSame(url, insertFigures(page, figuresOf(report)));
  });
}
