/**
 * All that decides what lands: `deno task ok`, which `.ci/run` calls too, on a machine that has every program that tests
 * need.
 */
const isContinuous = Deno.env.get("CI") === "true";

/** Some tests are for Linux: only there none may be ignored. */
const isComplete = isContinuous && Deno.build.os === "linux";

/** Why CI may leave out tests too, but for GitHub's, where all of it can be had. */
const MAY_BE_MISSING: Record<string, string> = {
  "delimiter() of a zero byte has Chromium evaluate 1 + 1":
    "Chromium is too large for some machines",
  "docs/programs.md example chromium.ts prints what it says":
    "Chromium is too large for some machines",
  "docs/compile/main.ts starts itself as its child once it is compiled":
    "deno compile cannot download its runtime from dl.deno.land",
};

const isGitHub = Deno.env.get("GITHUB_ACTIONS") === "true";

const ROOT = new URL("../", import.meta.url);

async function run(command: string, ...args: string[]) {
  console.log(`\n== ${[command, ...args].join(" ")}`);
  const { code } = await new Deno.Command(command, { args, cwd: ROOT })
    .spawn().status;
  if (code !== 0) Deno.exit(code);
}

/** What the README tells people to type. */
async function testCommand(): Promise<[string, ...string[]]> {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const line = /^npx -y deno@[0-9.]+ test -A$/m.exec(readme)?.[0];
  if (line === undefined) throw new Error("README.md has no test command");
  const [command = "", ...args] = line.split(" ");
  return [command, ...args];
}

/** The tests that were left out, by the report that `deno test` writes. */
function ignoredIn(report: string): string[] {
  const cases = report.matchAll(/<testcase name="([^"]*)"[^>]*>\s*<skipped/g);
  return Array.from(cases, ([, name = ""]) => name);
}

await run(Deno.execPath(), "task", "check");

const path = await Deno.makeTempFile();
await run(...await testCommand(), `--junit-path=${path}`);
const ignored = ignoredIn(await Deno.readTextFile(path));
await Deno.remove(path);

await run(Deno.execPath(), "task", "test:doc");
await run(Deno.execPath(), "publish", "--dry-run", "--allow-dirty");

const required = ignored.filter((name) =>
  isGitHub || !(name in MAY_BE_MISSING)
);
if (required.length > 0) {
  console.error(`\nIgnored here, but not in CI:\n${required.join("\n")}`);
  if (isComplete) Deno.exit(1);
}
for (const name of ignored.filter((name) => !required.includes(name))) {
  console.error(`\nIgnored: ${name}\n  ${MAY_BE_MISSING[name]}`);
}
console.log("\nok");
