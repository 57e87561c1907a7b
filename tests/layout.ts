/**
 * The rules for the layout of the sources (CONTRIBUTING.md). Each function takes the root of a source tree and returns the
 * violations, one sentence each.
 */

import { tryPublishing } from "./jsr/publishing.ts";

/** The layers, the lowest first. Each name is a public module, `NAME.ts`, with its parts in `NAME/`. */
const LAYERS = [
  ["framing"],
  ["channel"],
  ["pair", "jsonrpc"],
  ["descriptors", "sandboxed", "mod", "demo", "child"],
];

const MAX_LINES = 450;
const MAX_LINES_OF_CHANNEL = 600;
const MAX_LINES_OF_TESTS = 1000;

interface Place {
  /** The name of the public module that the file is, or is a part of. */
  name: string;
  /** The index of its layer, or -1 if it is in none. */
  layer: number;
  isPublic: boolean;
}

function placeOf(path: string): Place {
  const isPublic = !path.includes("/");
  const name = isPublic ? path.replace(/\.ts$/, "") : path.split("/")[0] ?? "";
  return {
    name,
    isPublic,
    layer: LAYERS.findIndex((names) => names.includes(name)),
  };
}

/** Lists the files in a directory, except hidden ones and npm packages, by their paths relative to it. */
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

/** Lists the sources by their paths relative to the root. */
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

/** Finds files that are too long to read in one sitting. */
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
      violations.push(`${path} has ${lines} lines: the limit is ${max}`);
    }
  }
  return violations;
}

/** Finds sources that are in no layer. */
export async function findSourcesOutsideLayers(root: URL): Promise<string[]> {
  return (await sourcesOf(root))
    .filter((path) => placeOf(path).layer < 0)
    .map((path) => `${path} is in no layer`);
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

/** The output of `deno info --json`, as far as it is used here. */
interface Graph {
  modules: {
    specifier: string;
    dependencies?: { code?: Dependency; type?: Dependency }[];
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

/** Lists the imports between files of a tree, including types, re-exports and dynamic imports. */
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
  // It stands in for the packages @std/* (CONTRIBUTING.md)
  return [...found.values()].flat()
    .filter(({ to }) => !to.startsWith("tests/std/"));
}

/** Says what is wrong with an import. */
function judge({ from, to }: Import): string | undefined {
  const [here, there] = [placeOf(from), placeOf(to)];
  if (here.name === there.name) {
    return there.isPublic
      ? "a part may not import its own public module"
      : undefined;
  }
  if (there.layer < 0) return "it is in no layer";
  if (here.layer < there.layer) return "imports run down only";
  if (here.layer === there.layer) {
    return "modules of one layer may not import each other";
  }
  if (!there.isPublic && here.layer - there.layer > 1) {
    return "parts are for their own layer and the next one up";
  }
}

/** Finds imports that do not run down, and circular ones. */
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

/** Lists the files that `exports` in deno.json names. */
async function entryPointsOf(root: URL): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("deno.json", root));
  const { exports }: { exports: Record<string, string> } = JSON.parse(text);
  return Object.values(exports).map((path) => path.replace(/^\.\//, ""));
}

/** The output of `deno doc --json`, as far as it is used here. */
interface Documentation {
  nodes: Record<string, {
    symbols: {
      name: string;
      declarations: { jsDoc?: { tags?: { kind: string }[] } }[];
    }[];
  }>;
}

/** Finds names that users can import and that are tagged `@internal`. */
export async function findInternalExports(root: URL): Promise<string[]> {
  const paths = await entryPointsOf(root);
  const violations = await Promise.all(paths.map(async (path) => {
    const { success, stdout, stderr } = await runDeno(
      root,
      "doc",
      "--json",
      path,
    );
    if (!success) throw new Error(`Cannot document ${path}: ${stderr}`);
    const { nodes }: Documentation = JSON.parse(stdout);
    const symbols = Object.values(nodes)[0]?.symbols ?? [];
    const internal = symbols.filter(({ declarations }) =>
      declarations.some(({ jsDoc }) =>
        jsDoc?.tags?.some(({ kind }) => kind === "internal")
      )
    );
    return internal.map(({ name }) =>
      `${path} exports ${name}, which is @internal`
    );
  }));
  return violations.flat();
}

/** Finds the errors of `deno doc --lint` in each entry point, separately. */
export async function findDocumentationErrors(root: URL): Promise<string[]> {
  const paths = await entryPointsOf(root);
  const violations = await Promise.all(paths.map(async (path) => {
    const { success, stderr } = await runDeno(root, "doc", "--lint", path);
    if (success) return [];
    const errors = [...stderr.matchAll(/^error\[.*\]: (.*)$/gm)];
    const reasons = errors.map(([, error]) => error);
    if (reasons.length === 0) reasons.push(stderr);
    return reasons.map((reason) => `${path}: ${reason}`);
  }));
  return violations.flat();
}

const FOR_USERS =
  /^(deno\.json|LICENSE|(README|CHANGELOG|SECURITY)\.md|docs\/.*)$/;

/** Finds sources that would not be published, and published files that are not for users. */
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
