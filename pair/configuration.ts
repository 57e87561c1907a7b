/** The configuration of a module's process: the module resolves specifiers as this process does. */

import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { environment, isHeld } from "./environment.ts";
import { absolutePath, isFile } from "./paths.ts";

export interface Configuration {
  readonly flags: readonly string[];
  /** What an error adds if a specifier cannot be resolved. */
  readonly hint: string;
  /** Files and directories that Deno reads for it. */
  readonly files: readonly string[];
}

interface Source {
  readonly path: string;
  readonly contents: Record<string, unknown>;
}

const CONFIG_NAMES = ["deno.json", "deno.jsonc"];
const PACKAGE_NAME = "package.json";

/**
 * Find the configuration of this process: the nearest `deno.json` above its main module, or else
 * the nearest `package.json`.
 *
 * The module can import from `node_modules` if this process does, but the directory is never
 * written. Deno opens each path that has `node_modules` in it after it has looked where that
 * leads. A module that may write can change that in between (tried), so it gets no `node_modules`.
 *
 * @throws {Deno.errors.NotCapable} If a configuration is there, and this process may not read it.
 */
export function findConfiguration(
  denoArgs: readonly string[],
  { mayWrite, cwd = "." }: {
    mayWrite: boolean;
    cwd?: string | URL | undefined;
  },
): Configuration {
  const named = namedConfig(denoArgs);
  const directory = cwd instanceof URL ? fileURLToPath(cwd) : cwd;
  const sources = named === undefined
    ? findSources()
    : [resolve(directory, named)].filter(isReadable).map(read);
  const flags: string[] = [];
  const hints: string[] = [];
  if (named === undefined) {
    const config = sources.find(isConfig);
    flags.push(config ? `--config=${config.path}` : "--no-config");
    // Without it Deno takes no file for CommonJS where it has read no package.json.
    if (!config && sources.length > 0) flags.push("--unstable-detect-cjs");
    hints.push(
      `${
        sources.length > 0 ? "this uses the" : "there is no"
      } deno.json or package.json above the parent's main module`,
      "the parent cannot see a flag of its own (--config, --import-map): repeat it in denoArgs",
    );
  }
  let mode = usesNodeModules(sources) ? "manual" : "none";
  if (mode === "manual" && mayWrite) {
    mode = "none";
    hints.push("a module that may write is kept from node_modules");
  }
  const files = sources.flatMap(filesOf);
  if (mode === "manual") {
    files.push(...sources.map(({ path }) => resolve(path, "../node_modules")));
  }
  flags.push(`--node-modules-dir=${mode}`);
  return { flags, hint: hints.join("; "), files };
}

/** The configuration that flags name; empty if they say that there is none. */
function namedConfig(denoArgs: readonly string[]): string | undefined {
  const flag = resolutionFlags(denoArgs)
    .find((flag) => /^(--config|-c|--no-config)/.test(flag));
  return flag?.replace(/^(--config=|-c=?|--no-config)/, "");
}

/** The flags of the user that decide how specifiers are resolved; values are joined to them. */
export function resolutionFlags(denoArgs: readonly string[]): string[] {
  return denoArgs.flatMap((arg, index) => {
    if (/^(--config|-c|--import-map)$/.test(arg)) {
      return [`${arg}=${denoArgs[index + 1] ?? ""}`];
    }
    const isNeeded =
      /^(--config=|-c.|--import-map=|--no-config$|--node-modules-dir|--unstable-)/
        .test(arg);
    return isNeeded ? [arg] : [];
  });
}

/**
 * Find the nearest `deno.json` above the main module, each `package.json` on the way, and the
 * workspace that the `deno.json` belongs to.
 */
function findSources(): Source[] {
  const sources: Source[] = [];
  for (const directory of above(origin())) {
    const config = sources.find(isConfig);
    const found = sourcesIn(directory, config ? isReadable : isThere);
    const isRoot = found.some((source) => config && hasMember(source, config));
    // Whether another one counts for Deno is not known for sure: it can only forbid.
    sources.push(...!config || isRoot ? found : found.filter(forbids));
    if (isRoot) break;
  }
  return sources;
}

function sourcesIn(
  directory: string,
  isUsable: (path: string) => boolean,
): Source[] {
  const find = (names: readonly string[]) =>
    names.map((name) => resolve(directory, name)).find(isUsable);
  const packages = environment("DENO_NO_PACKAGE_JSON") ? [] : [PACKAGE_NAME];
  return [find(CONFIG_NAMES), find(packages)]
    .filter((path) => path !== undefined).map(read);
}

/** The module that this process or Worker started with; without a file, a name in the current directory. */
function origin(): string | undefined {
  // Undefined in a Worker, which knows only its own.
  const main: string | undefined = Deno.mainModule;
  const href = main ?? globalThis.location.href;
  if (href.startsWith("file:")) return fileURLToPath(href);
  // Deno uses none for such a main module. In a Worker of such, what it uses is unknown.
  return main === undefined ? absolutePath("worker") : undefined;
}

function* above(path: string | undefined): Generator<string> {
  if (path === undefined) return;
  let directory = dirname(path);
  yield directory;
  while (directory !== (directory = dirname(directory))) yield directory;
}

function isConfig({ path }: Source): boolean {
  return basename(path) !== PACKAGE_NAME;
}

/** Whether a workspace names the directory of a configuration, or the one above it and `*`. */
function hasMember(source: Source, config: Source): boolean {
  const directory = dirname(config.path);
  const members = listOf(source.contents.workspace);
  return isConfig(source) && !members.some((name) => name.startsWith("!")) &&
    members.map((name) => resolve(dirname(source.path), name))
      .some((name) => [directory, `${dirname(directory)}/*`].includes(name));
}

/** Whether a `deno.json` says that `node_modules` is not used as it stands. */
function forbids(source: Source): boolean {
  const mode = source.contents.nodeModulesDir;
  return isConfig(source) && mode !== undefined && mode !== "manual";
}

function isReadable(path: string): boolean {
  return isHeld({ name: "read", path }) && isFile(path);
}

/** Whether a configuration is there. What is there must be readable. */
function isThere(path: string): boolean {
  if (!isFile(path)) return false;
  if (isHeld({ name: "read", path })) return true;
  throw new Deno.errors.NotCapable(
    `Cannot use configuration ${path}: this process may not read it: run again with --allow-read=${path}, or name a configuration in denoArgs`,
  );
}

/** Read JSON with comments. What only Deno can read opens no node_modules. */
function read(path: string): Source {
  try {
    const text = Deno.readTextFileSync(path)
      .replace(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[^]*?\*\//g, "$1")
      .replace(/("(?:\\.|[^"\\])*")|,(?=\s*[\]}])/g, "$1");
    const value: unknown = JSON.parse(text);
    return { path, contents: isRecord(value) ? value : {} };
  } catch {
    return { path, contents: { nodeModulesDir: "none" } };
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function usesNodeModules(sources: readonly Source[]): boolean {
  const configs = sources.filter(isConfig);
  const isManual = configs.some(({ contents }) =>
    contents.nodeModulesDir === "manual"
  );
  return !configs.some(forbids) &&
    (isManual || configs.length < sources.length);
}

/**
 * The file itself, and the files that it names: the import map, linked packages, the configuration
 * of workspace members. It is not known which members a pattern stands for.
 */
function filesOf({ path, contents }: Source): string[] {
  const { importMap, links, workspace, workspaces } = contents;
  const names = [
    ...typeof importMap === "string" ? [importMap] : [],
    ...listOf(links),
    ...listOf(workspace ?? workspaces).flatMap((member) =>
      [...CONFIG_NAMES, PACKAGE_NAME].map((name) => `${member}/${name}`)
    ),
  ];
  return [path, ...names.map((name) => resolve(dirname(path), name))];
}

function listOf(value: unknown): string[] {
  const list = isRecord(value) ? value.members ?? value.packages : value;
  return Array.isArray(list) ? list.map(String) : [];
}
