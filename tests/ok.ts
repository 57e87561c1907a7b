/**
 * Runs everything that a change must pass: `deno task ok`. `.ci/run` calls it too, on a machine that has every program that
 * tests need.
 */
import { IGNORED } from "./programs.ts";

const isContinuous = Deno.env.get("CI") === "true";

/** Some tests are for Linux, so elsewhere tests may be ignored. */
const isComplete = isContinuous && Deno.build.os === "linux";

/** Tests that CI may ignore, except on GitHub, where everything is available. */
const MAY_BE_MISSING: Record<string, string> = {
  "delimiter() of a zero byte has Chromium evaluate 1 + 1":
    "Chromium is too large for some machines",
  "docs/programs.md example chromium.ts prints what it says":
    "Chromium is too large for some machines",
  "spawnModule() behind bubblewrap runs a module as another user":
    "npx installs Deno in the home directory of root, where no other user can run it",
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

/** Reads the test command of the README, with the oldest Deno that it names. */
async function testCommand(): Promise<[string, ...string[]]> {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const line = /^npx -y deno@[0-9.]+ test -A$/m.exec(readme)?.[0];
  if (line === undefined) throw new Error("README.md has no test command");
  const [command = "", ...args] = line.split(" ");
  return [command, ...args];
}

/** Lists the ignored tests in a report of `deno test`, except the last one, which says why. */
function ignoredIn(report: string): string[] {
  const cases = report.matchAll(/<testcase name="([^"]*)"[^>]*>\s*<skipped/g);
  return Array.from(cases, ([, name = ""]) => name)
    .filter((name) => !name.startsWith(IGNORED));
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
  console.error(`\nCI may not ignore these tests:\n${required.join("\n")}`);
  if (isComplete) Deno.exit(1);
}
for (const name of ignored.filter((name) => !required.includes(name))) {
  console.error(`\nIgnored: ${name}\n  ${MAY_BE_MISSING[name]}`);
}
console.log("\nok");
