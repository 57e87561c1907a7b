import {
  assert,
  assertEquals,
  assertGreater,
  assertNotEquals,
} from "@std/assert";
import {
  check,
  type Example,
  examplesIn,
  makeProject,
  printedBy,
  run,
} from "../examples.ts";
import * as exported from "../../mod.ts";
import { makeSsh } from "./fake_ssh.ts";
import { findOnLinux, findRuby, type Program } from "../programs.ts";

const ROOT = new URL("../../", import.meta.url);

/** Pages whose examples need more than files: each has a test of its own beside this one. */
const OTHERS = ["children.md", "node.md", "programs.md"];

const ruby = await findRuby();
const prlimit = await findOnLinux("prlimit");
const bubblewrap = await findOnLinux("bwrap");

/** What stands in the projects of some pages besides their examples. */
const files: Record<string, { name: string; code: string }[]> = {
  "sandbox.md": [
    { name: "photos/a.txt", code: "taco cat" },
    { name: "secret.txt", code: "the secret" },
  ],
};

/** What some pages need before their examples run. */
const preparations: Record<string, (directory: string) => Promise<void>> = {
  "beyond.md": makeSsh,
};

/** Examples that need a program. */
const programs: Record<string, Program> = {
  "ruby.ts": ruby,
  "cpu.ts": prlimit,
  "memory.ts": prlimit,
  "walled.ts": bubblewrap,
};

async function pages(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const directory = new URL("docs/", ROOT);
  for await (const { name, isFile } of Deno.readDir(directory)) {
    if (!isFile || !name.endsWith(".md")) continue;
    found.set(name, await Deno.readTextFile(new URL(name, directory)));
  }
  return new Map([...found].sort());
}

const PAGES = await pages();

async function assertRuns(directory: string, { name, code }: Example) {
  assertNotEquals(printedBy(code), "", `${name} says not what it prints`);
  assertEquals(await run(directory, ["-A", name]), printedBy(code));
}

Deno.test("Examples of README.md and docs/ have no type errors", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  // Each page has a folder of its own, because their examples have the same names
  const inFolders = [["README.md", readme] as const, ...PAGES].flatMap(
    ([page, markdown]) =>
      [...examplesIn(markdown), ...files[page] ?? []].map((file) => ({
        ...file,
        name: `${page}/${file.name}`,
      })),
  );
  const directory = await makeProject(inFolders);
  // An example without imports is a fragment
  const complete = inFolders.filter(({ code }) => /^import /m.test(code));
  assertGreater(complete.length, PAGES.size);
  await check(directory, complete);
  await Deno.remove(directory, { recursive: true });
});

for (const [page, markdown] of PAGES) {
  const examples = examplesIn(markdown);
  if (OTHERS.includes(page) || examples.length === 0) continue;
  Deno.test(`docs/${page}: its examples print what they say`, async (t) => {
    const directory = await makeProject([
      ...examples,
      ...files[page] ?? [],
    ]);
    await preparations[page]?.(directory);
    for (const example of examples) {
      if (!example.isRun) continue;
      await t.step({
        name: example.name,
        ignore: programs[example.name]?.ignore ?? false,
        fn: () => assertRuns(directory, example),
      });
    }
    await Deno.remove(directory, { recursive: true });
  });
}

Deno.test("Pages say why an example of theirs cannot be run", () => {
  for (const [page, markdown] of PAGES) {
    if (OTHERS.includes(page)) continue;
    for (const { name, isRun, reason } of examplesIn(markdown)) {
      if (isRun || /child/.test(name)) continue;
      assertNotEquals(reason, "", `docs/${page}: ${name}`);
    }
  }
});

Deno.test("Pages link to files and headings that exist", async () => {
  for (const [page, markdown] of PAGES) {
    const text = markdown.replace(/```[^]*?```/g, "");
    for (const [, link = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const { pathname, hash } = new URL(link, new URL(`docs/${page}`, ROOT));
      const target = new URL(`file://${pathname}`);
      await Deno.stat(target);
      if (hash === "") continue;
      const anchors = anchorsIn(await Deno.readTextFile(target));
      assert(anchors.includes(hash), `docs/${page} links to ${link}`);
    }
  }
});

/** The headings of a page as GitHub makes anchors of them. */
function anchorsIn(markdown: string): string[] {
  const headings = markdown.replace(/```[^]*?```/g, "").matchAll(/^#+ (.*)$/gm);
  return Array.from(
    headings,
    ([, heading = ""]) =>
      `#${
        heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "")
          .replaceAll(" ", "-")
      }`,
  );
}

Deno.test("docs/errors.md has each class of error that is exported", () => {
  const page = PAGES.get("errors.md") ?? "";
  const classes = Object.keys(exported).filter((name) => /Error$/.test(name));
  assertEquals(classes.length, 6);
  for (const name of classes) assert(page.includes(`| \`${name}\``), name);
});

Deno.test("docs/framing.md names peer tests that exist", async () => {
  const tests = await Deno.readTextFile(
    new URL("tests/framing/peers_test.ts", ROOT),
  );
  const page = PAGES.get("framing.md") ?? "";
  const names = [
    ...page.matchAll(/`\.\.\. (?:speaks )?((?:with|calls)[^`]*)`/g),
  ].map(([, name = ""]) => name);
  assertEquals(names.length, 8);
  for (const name of names) {
    assert(
      tests.includes(name) || tests.includes(name.replaceAll('"', '\\"')),
      name,
    );
  }
});
