/**
 * What keeps the house in order (CONTRIBUTING.md): each function takes the root of a tree and returns its violations, a
 * sentence each.
 */

import { tryPublishing } from "./jsr/publishing.ts";

/** The floors from the ground up: each has a face, `NAME.ts`, and rooms, `NAME/`. Those in one row are on one floor. */
const FLOORS = [
  ["framing"],
  ["channel"],
  ["pair"],
  ["descriptors", "mod", "demo", "child"],
];

const MAX_LINES = 450;
const MAX_LINES_OF_CHANNEL = 600;
const MAX_LINES_OF_TESTS = 1000;

interface Place {
  name: string;
  floor: number;
  isFace: boolean;
}

function placeOf(path: string): Place {
  const isFace = !path.includes("/");
  const name = isFace ? path.replace(/\.ts$/, "") : path.split("/")[0] ?? "";
  return {
    name,
    isFace,
    floor: FLOORS.findIndex((names) => names.includes(name)),
  };
}

/** The files below a directory by their paths from it, but those that begin with a dot and packages. */
export async function walk(root: URL, directory = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(new URL(`./${directory}`, root))) {
    if (/^\.|^node_modules$/.test(entry.name)) continue;
    const path = directory + encodeURIComponent(entry.name);
    if (entry.isDirectory) paths.push(...await walk(root, `${path}/`));
    else if (entry.isFile) paths.push(path);
  }
  return paths.sort();
}

/** The sources by their paths from the root. */
async function sourcesOf(root: URL): Promise<string[]> {
  const paths = await walk(root);
  return paths.filter((path) =>
    /\.ts$/.test(path) && !/^(tests|docs)\//.test(path)
  );
}

interface Output {
  success: boolean;
  stdout: string;
  stderr: string;
}

async function runDeno(root: URL, ...args: string[]): Promise<Output> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  return {
    success,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

/** Find files that are too long to be read in one sitting. */
export async function findLongFiles(root: URL): Promise<string[]> {
  const violations = [];
  for (const path of await walk(root)) {
    if (!path.endsWith(".ts")) continue;
    const max = path.startsWith("tests/")
      ? MAX_LINES_OF_TESTS
      : path === "channel.ts"
      ? MAX_LINES_OF_CHANNEL
      : MAX_LINES;
    const text = await Deno.readTextFile(new URL(path, root));
    const lines = text.split("\n").length - 1;
    if (lines > max) {
      violations.push(`${path} has ${lines} lines: it may have ${max}`);
    }
  }
  return violations;
}

/** Find sources that lie on no floor. */
export async function findHomeless(root: URL): Promise<string[]> {
  return (await sourcesOf(root))
    .filter((path) => placeOf(path).floor < 0)
    .map((path) => `${path} is on no floor`);
}

interface Import {
  from: string;
  to: string;
  line: number;
}

interface Dependency {
  specifier?: string;
  span: { start: { line: number } };
}

/** The part of what `deno info --json` writes that is needed here. */
interface Graph {
  modules: {
    specifier: string;
    dependencies?: {
      code?: Dependency;
      type?: Dependency;
      isDynamic?: boolean;
    }[];
  }[];
}

async function graphOf(root: URL, path: string): Promise<Graph> {
  const { success, stdout, stderr } = await runDeno(
    root,
    "info",
    "--json",
    "--no-lock",
    path,
  );
  if (!success) throw new Error(`Cannot read imports of ${path}: ${stderr}`);
  return JSON.parse(stdout);
}

/** All that a tree imports from itself: types, re-exports and what is loaded later included. */
async function importsOf(root: URL): Promise<Import[]> {
  const found = new Map<string, Import[]>();
  for (const path of await sourcesOf(root)) {
    if (found.has(path)) continue;
    const { modules } = await graphOf(root, path);
    for (const { specifier, dependencies = [] } of modules) {
      if (!specifier.startsWith(root.href)) continue;
      const from = specifier.slice(root.href.length);
      found.set(
        from,
        dependencies.flatMap(({ code, type }) =>
          [code ?? [], type ?? []].flat()
        )
          .flatMap(({ specifier, span }) =>
            specifier?.startsWith(root.href)
              ? [{
                from,
                to: specifier.slice(root.href.length),
                line: span.start.line + 1,
              }]
              : []
          ),
      );
    }
    if (!found.has(path)) throw new Error(`Cannot read imports of ${path}`);
  }
  // It stands in for packages (CONTRIBUTING.md)
  return [...found.values()].flat()
    .filter(({ to }) => !to.startsWith("tests/std/"));
}

/** What is wrong with an import, if anything is. */
function judge({ from, to }: Import): string | undefined {
  const [here, there] = [placeOf(from), placeOf(to)];
  if (here.name === there.name) {
    return there.isFace ? "a room may not import its own face" : undefined;
  }
  if (there.floor < 0) return "it is on no floor";
  if (here.floor <= there.floor) {
    return here.floor === there.floor
      ? "neighbours may not import each other"
      : "imports run down only";
  }
  // findSecondHand() says what for.
  if (from === "mod.ts") return;
  if (!there.isFace && here.floor - there.floor > 1) {
    return "rooms are for their floor and the next one up";
  }
}

/** Find imports that do not run down, and those that run in a circle. */
export async function findWrongImports(root: URL): Promise<string[]> {
  const imports = await importsOf(root);
  const violations = imports.flatMap((each) => {
    const why = judge(each);
    return why ? [`${each.from}:${each.line} imports ${each.to}: ${why}`] : [];
  });
  return [...violations, ...findCircles(imports)];
}

function findCircles(imports: Import[]): string[] {
  const targets = Map.groupBy(imports, ({ from }) => from);
  const circles: string[] = [];
  const done = new Set<string>();
  function visit(path: string, way: string[]) {
    const begin = way.indexOf(path);
    if (begin >= 0) {
      circles.push(`${[...way.slice(begin), path].join(" -> ")} is a circle`);
    }
    if (done.has(path)) return;
    done.add(path);
    for (const { to } of targets.get(path) ?? []) visit(to, [...way, path]);
  }
  for (const path of targets.keys()) visit(path, []);
  return circles;
}

/** Find what `mod.ts` loads by way of another file, and does not import itself. Types are not loaded. */
export async function findSecondHand(root: URL): Promise<string[]> {
  const { modules } = await graphOf(root, "mod.ts");
  const loads = new Map(
    modules.map(({ specifier, dependencies = [] }) => [
      specifier,
      dependencies.flatMap(({ code, isDynamic }) =>
        isDynamic ? [] : code?.specifier ?? []
      ),
    ]),
  );
  const first = loads.get(new URL("mod.ts", root).href) ?? [];
  const all = new Set(first);
  for (const specifier of all) {
    loads.get(specifier)?.forEach((to) => all.add(to));
  }
  return [...all].filter((specifier) => !first.includes(specifier))
    .map((specifier) =>
      `mod.ts loads ${
        specifier.slice(root.href.length)
      }, and does not import it itself`
    );
}

/** The files that users import from, by `exports` of deno.json. */
async function entryPointsOf(root: URL): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("deno.json", root));
  const { exports }: { exports: Record<string, string> } = JSON.parse(text);
  return Object.values(exports).map((path) => path.replace(/^\.\//, ""));
}

/** The part of what `deno doc --json` writes that is needed here. */
interface Documentation {
  nodes: Record<string, {
    symbols: {
      name: string;
      declarations: { jsDoc?: { tags?: { kind: string }[] } }[];
    }[];
  }>;
}

/** Find names that users can import and that are tagged `@internal`. */
export async function findInternalExports(root: URL): Promise<string[]> {
  const violations = [];
  for (const path of await entryPointsOf(root)) {
    const { success, stdout, stderr } = await runDeno(
      root,
      "doc",
      "--json",
      path,
    );
    if (!success) throw new Error(`Cannot document ${path}: ${stderr}`);
    const { nodes }: Documentation = JSON.parse(stdout);
    for (
      const { name, declarations } of Object.values(nodes)[0]?.symbols ?? []
    ) {
      if (
        declarations.some(({ jsDoc }) =>
          jsDoc?.tags?.some(({ kind }) => kind === "internal")
        )
      ) violations.push(`${path} exports ${name}, which is @internal`);
    }
  }
  return violations;
}

/** Find what `deno doc --lint` says of each entry point, alone. */
export async function findDocumentationErrors(root: URL): Promise<string[]> {
  const violations = [];
  for (const path of await entryPointsOf(root)) {
    const { success, stderr } = await runDeno(root, "doc", "--lint", path);
    if (success) continue;
    const errors = [...stderr.matchAll(/^error\[.*\]: (.*)$/gm)];
    const reasons = errors.map(([, error]) => error);
    if (reasons.length === 0) reasons.push(stderr);
    violations.push(...reasons.map((reason) => `${path}: ${reason}`));
  }
  return violations;
}

const FOR_USERS =
  /^(deno\.json|LICENSE|(README|CHANGELOG|SECURITY)\.md|docs\/.*)$/;

/** Find sources that are not published, and what is published that is for us only. */
export async function findWrongPublishing(root: URL): Promise<string[]> {
  const files = await walk(root);
  const { success, report, paths } = await tryPublishing(root, files);
  if (!success) return [`Cannot publish: ${report}`];
  const sources = await sourcesOf(root);
  return [
    ...sources.filter((path) => !paths.includes(path))
      .map((path) => `${path} is not published`),
    ...paths.filter((path) => !sources.includes(path) && !FOR_USERS.test(path))
      .map((path) => `${path} is published`),
  ];
}
