/**
 * All that decides what lands: `deno task ok`, which `.ci/run` calls too, on a machine that has every program that tests
 * need.
 */
const isContinuous = Deno.env.get("CI") === "true";

/** Tests that CI may leave out too: their program is too large for some machines. */
const MAY_BE_MISSING = [
  "delimiter() of a zero byte has Chromium evaluate 1 + 1",
  "docs/programs.md example chromium.ts prints what it says",
];

async function runDeno(...args: string[]) {
  console.log(`\n== deno ${args.join(" ")}`);
  const { code } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: new URL("../", import.meta.url),
  }).spawn().status;
  if (code !== 0) Deno.exit(code);
}

/** The tests that were left out, by the report that `deno test` writes. */
function ignoredIn(report: string): string[] {
  const cases = report.matchAll(/<testcase name="([^"]*)"[^>]*>\s*<skipped/g);
  return Array.from(cases, ([, name = ""]) => name);
}

await runDeno("task", "check");

const path = await Deno.makeTempFile();
await runDeno("test", "-A", `--junit-path=${path}`);
const ignored = ignoredIn(await Deno.readTextFile(path));
await Deno.remove(path);

await runDeno("task", "test:doc");

const required = ignored.filter((name) => !MAY_BE_MISSING.includes(name));
if (required.length > 0) {
  console.error(`\nIgnored here, but not in CI:\n${required.join("\n")}`);
  if (isContinuous) Deno.exit(1);
}
const missing = ignored.filter((name) => MAY_BE_MISSING.includes(name));
if (missing.length > 0) {
  console.error(`\nIgnored, as Chromium is missing:\n${missing.join("\n")}`);
}
console.log("\nok");
