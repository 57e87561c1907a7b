import { assert, assertEquals, assertMatch } from "@std/assert";
import { drawAll, drawSummary } from "../bench/panels.ts";
import { readReport, type Report } from "../bench/results.ts";
import { insertFigures } from "../bench/tables.ts";
import { fileURLToPath } from "node:url";

const BENCH = new URL("../bench/", import.meta.url);
const PAGE = new URL("../../docs/performance.md", import.meta.url);

const report = await readReport(
  fileURLToPath(new URL("results.json", BENCH)),
);

/** Without what `deno fmt` changes: how wide the columns of a table are, where lines of text and SVG break. */
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
    Deno.test(`tests/bench/${name} shows what results.json has`, () =>
      assertSame(new URL(name, BENCH), draw(report)));
  }
}

Deno.test("docs/performance.md has the figures of results.json, and no others", async () => {
  const page = await Deno.readTextFile(PAGE);
  const [before, figures = "", after] = page.split(/<!-- .*figures.* -->\n/);
  // What is before and after them has only limits and defaults, which are no measurements
  for (const text of [before, after]) {
    assert(text !== undefined, "the page has no place for figures");
    assertEquals(
      text.match(/\d[\d,.]* (?:ms|µs|s|MB\/s|messages\/s)\b/g),
      null,
    );
  }
  if (report === undefined) assertMatch(figures, /^\s*$/);
  else await assertSame(PAGE, insertFigures(page, report));
});
