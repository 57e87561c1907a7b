/** The local files that a module's code consists of, as Deno finds them. */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isHeld } from "./environment.ts";
import { canRun } from "./inherited.ts";
import { explainStart } from "./launch.ts";
import { outputOf } from "./output.ts";
import { isAbsence, isInside } from "./paths.ts";

/** The names of code. Deno also loads a file of any other name as TypeScript, `.env` for example. */
const CODE = /\.([mc]?[jt]s|[jt]sx|wasm)$/;

/** JSON files, relative to the module's directory: no name begins with a dot. */
const DATA = /^(?!.*\/\.).*\.json$/;

const MAX_OUTPUT = 8 * 1024 * 1024;

const SH = "/bin/sh";
const CONFIG = "--config=";

/** Limits a program to 512 MiB, where the system can. */
const LIMIT = 'ulimit -S -d 524288 2>/dev/null; ulimit -S -c 0; exec "$0" "$@"';

export interface GraphOptions {
  readonly flags: readonly string[];
  readonly cwd: string | URL | undefined;
  /** Variables besides those of this process; with them no host can be reached. */
  readonly env: Record<string, string>;
  /** The child's own cache: what Deno stores there of the graph is for the child. */
  readonly cache: string;
  readonly launcher: readonly string[];
  readonly signal: AbortSignal;
}

interface Graph {
  /** Code in the module's directory. */
  readonly code: readonly string[];
  /** All local files that Deno read, and their state. */
  readonly files: readonly string[];
  readonly stamp: string | undefined;
  /** Files of Deno's cache, by name: without them a child takes 35 ms more to start. */
  readonly analysis: ReadonlyMap<string, Uint8Array>;
}

const graphs = new Map<string, Graph>();

const MAX_GRAPHS = 32;

/**
 * Find the files of a module's graph that are code or JSON by name, and lie in its directory or
 * below. Other files are left out, because the module would choose them
 * (`import env from "./.env" with { type: "text" }`).
 *
 * It also chooses what Deno reads here: a device, a pipe, millions of imports. So the launcher and
 * the time limit of the child apply. The graph is kept until one of its files changes.
 *
 * @throws {RangeError} If the graph is too large.
 */
export async function findCode(
  url: URL,
  options: GraphOptions,
): Promise<readonly string[]> {
  const { flags, cwd, env, cache } = options;
  const key = JSON.stringify([url.href, flags, String(cwd), env]);
  const known = graphs.get(key);
  if (known?.stamp !== undefined && known.stamp === stampOf(known.files)) {
    for (const [name, bytes] of known.analysis) {
      await Deno.writeFile(`${cache}/${name}`, bytes);
    }
    return known.code;
  }
  const graph = await askDeno(url, options);
  if (graphs.size >= MAX_GRAPHS) graphs.clear();
  graphs.set(key, graph);
  return graph.code;
}

/** If Deno fails, the module gets its own file only: loading it then reports what is wrong. */
async function askDeno(url: URL, options: GraphOptions): Promise<Graph> {
  const main = fileURLToPath(url);
  const code = new Set([main]);
  const configs = options.flags.filter((flag) => flag.startsWith(CONFIG))
    .map((flag) => flag.slice(CONFIG.length));
  const files = new Set([main, ...configs]);
  const { modules = [] } = JSON.parse(await info(url, options));
  let isWhole = modules.length > 0;
  for (const { specifier, local = pathOf(specifier), error } of modules) {
    if (error !== undefined && /^file:/.test(specifier)) isWhole = false;
    if (typeof local !== "string") continue;
    files.add(local);
    if (isCodeIn(dirname(main), local)) code.add(local);
  }
  return {
    code: [...code],
    files: [...files],
    stamp: isWhole ? stampOf([...files]) : undefined,
    analysis: await analysisIn(options.cache),
  };
}

/** The output of `deno info`; an empty object if it fails. */
async function info(
  url: URL,
  { flags, cwd, env, cache, launcher, signal }: GraphOptions,
): Promise<string> {
  const [command = "", ...args] = [
    ...launcher,
    ...canRun(SH) ? [SH, "-c", LIMIT] : [],
    Deno.execPath(),
    "info",
    "--json",
    "--no-remote",
    "--no-lock",
    ...flags,
    url.href,
  ];
  try {
    const { success, stdout } = await outputOf(command, {
      args,
      env: {
        ...env,
        DENO_DIR: cache,
      },
      ...cwd !== undefined && { cwd },
      stderr: "null",
      signal,
    }, MAX_OUTPUT);
    return success && stdout !== "" ? stdout : "{}";
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RangeError) {
      throw new RangeError(`Cannot start module ${url}: it imports too much`);
    }
    throw explainStart(error, SH, Deno.execPath());
  }
}

/** Whether a file is code or JSON, in a directory or below, and no link leads to it. */
function isCodeIn(directory: string, path: string): boolean {
  // "%2F.." is decoded here: such a path is not what it seems.
  if (resolve(path) !== path || !isInside(path, directory)) return false;
  const rest = path.slice(directory.length);
  if (!CODE.test(path) && !DATA.test(rest)) return false;
  try {
    // Links are not followed, not even those that lead nowhere today.
    const real = `${Deno.realPathSync(directory)}${dirname(rest)}`;
    if (Deno.realPathSync(dirname(path)) !== resolve(real)) return false;
  } catch {
    return false;
  }
  try {
    return Deno.lstatSync(path).isFile;
  } catch (error) {
    return isAbsence(error);
  }
}

/** What Deno has stored of a graph in an empty cache. */
async function analysisIn(
  cache: string,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const analysis = new Map<string, Uint8Array>();
  for await (const { name } of Deno.readDir(cache)) {
    if (!/^(dep|node)_analysis.*(?<!-shm)$/.test(name)) continue;
    analysis.set(name, await Deno.readFile(`${cache}/${name}`));
  }
  return analysis;
}

function pathOf(specifier: string): string | undefined {
  try {
    return fileURLToPath(specifier);
  } catch {
    return;
  }
}

/** The state of files; `undefined` if this process cannot tell. */
function stampOf(files: readonly string[]): string | undefined {
  // Avoid a permission prompt.
  if (!files.every((path) => isHeld({ name: "read", path }))) return;
  try {
    return files.map((path) => {
      const { size, mtime, ctime, ino } = Deno.statSync(path);
      return [size, mtime?.getTime(), ctime?.getTime(), ino].join();
    }).join(";");
  } catch {
    return;
  }
}
