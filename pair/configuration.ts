/** The configuration that a module is loaded with: what this process resolves, it resolves. */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { absolutePath } from "./paths.ts";

/** How `deno run` is told. */
export interface Configuration {
  readonly flags: readonly string[];
  /** What an error says if an import cannot be resolved. */
  readonly hint: string;
  /** Files and directories that Deno reads for it. */
  readonly files: readonly string[];
}

/** A directory that holds a configuration, and what of it matters here. */
interface Place {
  readonly directory: string;
  /** The path of its `deno.json` or `deno.jsonc`. */
  readonly config: string | undefined;
  readonly hasPackage: boolean;
  readonly nodeModulesDir: unknown;
  /** Patterns of the directories that share this configuration. */
  readonly members: readonly string[];
  /** Files that belong to it, as far as they are there, and directories of linked packages. */
  readonly files: readonly string[];
}

const CONFIG_NAMES = ["deno.json", "deno.jsonc"];
const PACKAGE_NAME = "package.json";

const UNSEEN =
  "what a flag has told this process (--config, --import-map) cannot be seen from inside: repeat it in denoArgs";

/**
 * Find the configuration of this process as Deno does: the nearest directory above its main
 * module that holds a `deno.json` or a `package.json`, and the nearest workspace there or above.
 *
 * `node_modules` is used where Deno uses it as it stands, and never written. With it, Deno opens
 * each path that has `node_modules` in it once it has looked where that leads. A module that may
 * write can change that in between (tried), and gets no packages from there.
 *
 * @param denoArgs The flags of the user: a configuration there replaces this one.
 * @param child Whether it may write anything, and its current directory.
 * @throws {Deno.errors.NotCapable} If a configuration is there, and may not be read.
 */
export async function findConfiguration(
  denoArgs: readonly string[],
  { mayWrite, cwd = "." }: {
    mayWrite: boolean;
    cwd?: string | URL | undefined;
  },
): Promise<Configuration> {
  const named = namedConfig(denoArgs);
  let places: Place[] = [];
  let flags: string[] = [];
  if (named === undefined) {
    places = await findPlaces();
    const config = places.find(({ config }) => config !== undefined)?.config;
    flags = [config === undefined ? "--no-config" : `--config=${config}`];
    // Without it Deno takes no file for CommonJS where it has read no package.json.
    if (config === undefined && places.length > 0) {
      flags.push("--unstable-detect-cjs");
    }
  } else if (named !== "") {
    const directory = cwd instanceof URL ? fileURLToPath(cwd) : cwd;
    const path = resolve(directory, named);
    if (isReadable(path)) places = [await placeOf(dirname(path), path)];
  }
  const usesNodeModules = isManual(places);
  const mode = usesNodeModules && !mayWrite ? "manual" : "none";
  const hints = named === undefined ? [`${describe(places)}; ${UNSEEN}`] : [];
  if (usesNodeModules && mayWrite) {
    hints.push("a module that may write is kept from node_modules");
  }
  return {
    flags: [...flags, `--node-modules-dir=${mode}`],
    hint: hints.join("; "),
    files: places.flatMap(({ files, directory }) => [
      ...files,
      ...mode === "manual" ? [resolve(directory, "node_modules")] : [],
    ]),
  };
}

/** In words that tell an untrusted module no path of its parent's. */
function describe(places: readonly Place[]): string {
  if (places.length === 0) {
    return "there is no deno.json or package.json above the parent's main module";
  }
  const hasConfig = places.some(({ config }) => config !== undefined);
  const name = hasConfig ? CONFIG_NAMES[0] : PACKAGE_NAME;
  return `the ${name} above the parent's main module is used`;
}

/** The configuration that flags name; empty if they say that there is none. */
function namedConfig(denoArgs: readonly string[]): string | undefined {
  let named: string | undefined;
  for (const [index, arg] of denoArgs.entries()) {
    const [flag = "", value] = arg.split(/=([^]*)/);
    if (flag === "--no-config") return "";
    if (flag === "--config" || flag === "-c") {
      named = value ?? denoArgs[index + 1] ?? "";
    } else if (/^-c./.test(flag)) named = arg.slice("-c".length);
  }
  return named;
}

/** The flags of the user that `deno info` needs to find the same files as `deno run`. */
export function resolutionFlags(denoArgs: readonly string[]): string[] {
  return denoArgs.flatMap((arg, index) => {
    if (/^(--config|-c|--import-map)$/.test(arg)) {
      return [arg, denoArgs[index + 1] ?? ""];
    }
    const isNeeded =
      /^(--config=|-c.|--import-map=|--no-config$|--node-modules-dir|--unstable-)/
        .test(arg);
    return isNeeded ? [arg] : [];
  });
}

/** The module that this process, or this Worker, began with; for code without a file, a name there. */
function origin(): string | undefined {
  // Undefined in a Worker, which knows only its own.
  const main: string | undefined = Deno.mainModule;
  const href = main ?? globalThis.location.href;
  if (href.startsWith("file:")) {
    try {
      return fileURLToPath(href);
    } catch {
      throw new TypeError(
        `Cannot look for configuration: the path in ${href} is not UTF-8`,
      );
    }
  }
  // Deno uses none for such a main module. In a Worker of such, what it uses is unknown.
  return main === undefined ? absolutePath("worker") : undefined;
}

/** The nearest configuration, and that of its workspace if it is another. */
async function findPlaces(): Promise<Place[]> {
  const places: Place[] = [];
  let path = origin();
  if (path === undefined) return places;
  while (path !== (path = dirname(path))) {
    // Above a deno.json Deno looks for its workspace itself.
    const isNeeded = places[0]?.config === undefined;
    const place = await placeAt(path, isNeeded);
    if (place === undefined) continue;
    const isWorkspace = place.members.length > 0;
    if (places.length === 0 || isWorkspace) places.push(place);
    if (isWorkspace) break;
  }
  return places;
}

/** What a directory holds. If it is needed, what is there must be readable. */
async function placeAt(
  directory: string,
  isNeeded: boolean,
): Promise<Place | undefined> {
  const paths = [...CONFIG_NAMES, PACKAGE_NAME]
    .map((name) => resolve(directory, name));
  const hidden = isNeeded
    ? paths.filter((path) => !mayRead(path) && isThere(path))
    : [];
  if (hidden.length > 0) {
    throw new Deno.errors.NotCapable(
      `Cannot use configuration ${
        hidden.join(", ")
      }: it may not be read: run again with --allow-read=${
        hidden.join(",")
      }, or name a configuration in denoArgs`,
    );
  }
  const found = paths.filter(isReadable);
  return found.length === 0 ? undefined : await placeOf(
    directory,
    found.find((path) => !path.endsWith(PACKAGE_NAME)),
  );
}

async function placeOf(
  directory: string,
  config: string | undefined,
): Promise<Place> {
  const packagePath = resolve(directory, PACKAGE_NAME);
  const hasPackage = isReadable(packagePath);
  const { nodeModulesDir, workspace, links, importMap } = config === undefined
    ? {}
    : await readObject(config);
  const { workspaces } = hasPackage ? await readObject(packagePath) : {};
  const members = [...patternsOf(workspace), ...patternsOf(workspaces)];
  return {
    directory,
    config,
    hasPackage,
    nodeModulesDir,
    members,
    files: [
      ...config === undefined ? [] : [config],
      ...typeof importMap === "string" ? [resolve(directory, importMap)] : [],
      ...patternsOf(links).map((path) => resolve(directory, path)),
      ...[directory, ...members.flatMap((path) => expand(directory, path))]
        .flatMap((path) =>
          [...CONFIG_NAMES, PACKAGE_NAME].map((name) => resolve(path, name))
        ),
    ],
  };
}

function patternsOf(workspace: unknown): string[] {
  const list = isRecord(workspace)
    ? workspace.members ?? workspace.packages
    : workspace;
  return Array.isArray(list) ? list.map(String) : [];
}

/** The directories that a pattern stands for, with `*` for any name. */
function expand(directory: string, pattern: string): string[] {
  let found = [directory];
  for (const name of pattern.split("/")) {
    found = found.flatMap((path) =>
      (name.includes("*") ? subdirectories(path) : [name])
        .map((name) => resolve(path, name))
    );
  }
  return found;
}

function subdirectories(path: string): string[] {
  if (!mayRead(path)) return [];
  return Array.from(Deno.readDirSync(path))
    .filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
}

/** Whether Deno takes packages from `node_modules`, and leaves it as it stands. */
function isManual(places: readonly Place[]): boolean {
  // The workspace's has the last word.
  const mode = places.map(({ nodeModulesDir }) => nodeModulesDir)
    .findLast((mode) => mode !== undefined);
  return mode === undefined
    ? places.some(({ hasPackage }) => hasPackage)
    : mode === "manual";
}

/** Read JSON with comments. What is wrong with it, Deno tells when it reads it. */
async function readObject(path: string): Promise<Record<string, unknown>> {
  const text = (await Deno.readTextFile(path))
    .replace(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[^]*?\*\//g, "$1")
    .replace(/("(?:\\.|[^"\\])*")|,(?=\s*[\]}])/g, "$1");
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mayRead(path: string): boolean {
  // A query, because the attempt may ask the user.
  const { state } = Deno.permissions.querySync({ name: "read", path });
  return state === "granted";
}

/** Whether a file is there, and this process may read it. */
function isReadable(path: string): boolean {
  try {
    return mayRead(path) && Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Whether a file is there that this process may not read: no process can start in one. */
function isThere(path: string): boolean {
  try {
    const options = { args: ["--version"], cwd: path };
    new Deno.Command(Deno.execPath(), options).outputSync();
    return false;
  } catch (error) {
    return error instanceof Error && /not a directory/i.test(error.message);
  }
}
