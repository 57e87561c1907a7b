/** The local files that a module's code consists of, as Deno finds them. */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isHeld } from "./environment.ts";
import { ConnectError } from "./errors.ts";
import { canRun, SH } from "./inherited.ts";
import { isAbsence, isInside } from "./links.ts";
import { outputOf } from "./output.ts";

/** The names of code. Deno takes a file of any other name for TypeScript, `.env` for example. */
const CODE = /\.([mc]?[jt]s|[jt]sx|wasm)$/;

/** Data that a module can have, as a path from its directory: no name in it begins with a dot. */
const DATA = /^(?!.*\/\.).*\.json$/;

/** Bytes of what Deno may say. */
const MAX_OUTPUT = 8 * 1024 * 1024;

/** Has a program allocate no more than 512 MiB, where the system can limit that. */
const LIMIT = 'ulimit -S -d 524288 2>/dev/null; ulimit -S -c 0; exec "$0" "$@"';

/** How to run `deno info`. */
export interface GraphOptions {
  /** The configuration. */
  readonly flags: readonly string[];
  readonly cwd: string | URL | undefined;
  /** Variables besides those of this process; with them no host can be reached. */
  readonly env: Record<string, string>;
  readonly denoDir: string | undefined;
  /** Whether that is the child's own, and empty. */
  readonly isOwn: boolean;
  /** The first words of the command. */
  readonly launcher: readonly string[];
  /** In ms. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

interface Graph {
  /** Code in the module's directory. */
  readonly code: readonly string[];
  /** All local files that were read. */
  readonly files: readonly string[];
  /** The state of these files. */
  readonly stamp: string | undefined;
  /** What Deno has stored of it: without that a child takes 35 ms more to start. */
  readonly analysis: readonly StoredFile[];
}

interface StoredFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const graphs = new Map<string, Graph>();

/** Graphs that are kept. */
const MAX_GRAPHS = 32;

/**
 * Find the files of a module's graph that are code or JSON by name, and lie in its directory or
 * below.
 *
 * Others are not among them: the module, which is not trusted, would choose the file
 * (`import env from "./.env" with { type: "text" }`). And it chooses what Deno reads here: a
 * device, a pipe, millions of imports. So the child's launcher and limits hold for this, too.
 *
 * The graph is kept until one of its files changes.
 *
 * @throws {ConnectError} If this takes longer than the child may take.
 * @throws {RangeError} If the graph is too large.
 */
export async function findCode(
  url: URL,
  options: GraphOptions,
): Promise<readonly string[]> {
  const { flags, cwd, env } = options;
  const key = JSON.stringify([url.href, flags, String(cwd), env]);
  const known = graphs.get(key);
  if (known?.stamp !== undefined && known.stamp === stampOf(known.files)) {
    await restore(known.analysis, options);
    return known.code;
  }
  const graph = await askDeno(url, options);
  if (graphs.size >= MAX_GRAPHS) graphs.clear();
  graphs.set(key, graph);
  return graph.code;
}

/** Where Deno cannot tell, the module has its own file: what is wrong shows when it is loaded. */
async function askDeno(url: URL, options: GraphOptions): Promise<Graph> {
  const main = fileURLToPath(url);
  const code = new Set([main]);
  const files = new Set([main, ...options.flags.flatMap(configPath)]);
  const json = await info(url, options);
  const { modules = [] } = json === "" ? {} : JSON.parse(json);
  let isWhole = json !== "";
  for (const { specifier, local = pathOf(specifier), error } of modules) {
    // A file that is missing today can be there at the next start.
    if (error !== undefined && /^file:/.test(specifier)) isWhole = false;
    if (typeof local !== "string") continue;
    files.add(local);
    if (isOwn(local, dirname(main))) code.add(local);
  }
  return {
    code: [...code],
    files: [...files],
    stamp: isWhole ? stampOf([...files]) : undefined,
    analysis: await store(options),
  };
}

/** The output of `deno info`; empty if it fails. */
async function info(
  url: URL,
  { flags, cwd, env, denoDir, launcher, timeout, signal }: GraphOptions,
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
  const timer = AbortSignal.timeout(timeout);
  try {
    const { success, stdout } = await outputOf(command, {
      args,
      env: {
        ...env,
        ...denoDir !== undefined && { DENO_DIR: denoDir },
        NO_COLOR: "1",
        OTEL_DENO: "false",
        DENO_CACHE_DB_MODE: "memory",
        DENO_NO_UPDATE_CHECK: "1",
      },
      ...cwd !== undefined && { cwd },
      stderr: "null",
      signal: signal ? AbortSignal.any([signal, timer]) : timer,
    }, MAX_OUTPUT);
    return success ? stdout : "";
  } catch (error) {
    signal?.throwIfAborted();
    if (timer.aborted) {
      throw new ConnectError(
        `Cannot start module ${url}: its files were not found in ${
          Math.round(timeout)
        } ms`,
      );
    }
    if (error instanceof RangeError) {
      throw new RangeError(`Cannot start module ${url}: it imports too much`);
    }
    // The caller knows of no shell.
    if (error instanceof Error) {
      error.message = error.message.replaceAll(SH, Deno.execPath());
    }
    throw error;
  }
}

/** Whether a file is code or JSON, in a directory or below, and no link leads to it. */
function isOwn(path: string, directory: string): boolean {
  // "%2F.." is decoded here: such a path is not what it seems.
  if (resolve(path) !== path || !isInside(path, directory)) return false;
  const rest = path.slice(directory.length);
  if (!CODE.test(path) && !DATA.test(rest)) return false;
  try {
    return Deno.statSync(path).isFile &&
      Deno.realPathSync(path) === `${Deno.realPathSync(directory)}${rest}`;
  } catch (error) {
    return isAbsence(error);
  }
}

/** Read what Deno has stored of a graph in the cache of the first child. */
async function store(
  { denoDir, isOwn }: GraphOptions,
): Promise<readonly StoredFile[]> {
  if (denoDir === undefined || !isOwn) return [];
  const files: StoredFile[] = [];
  for await (const { name } of Deno.readDir(denoDir)) {
    if (!/^(dep|node)_analysis.*(?<!-shm)$/.test(name)) continue;
    files.push({ name, bytes: await Deno.readFile(`${denoDir}/${name}`) });
  }
  return files;
}

/** Write it to the cache of another one. */
async function restore(
  files: readonly StoredFile[],
  { denoDir, isOwn }: GraphOptions,
): Promise<void> {
  if (!isOwn) return;
  for (const { name, bytes } of files) {
    await Deno.writeFile(`${denoDir}/${name}`, bytes);
  }
}

/** The path of a file that Deno could not load: an error then says why. */
function pathOf(specifier: string): string | undefined {
  try {
    return fileURLToPath(specifier);
  } catch {
    return;
  }
}

function configPath(flag: string): string[] {
  return flag.startsWith("--config=") ? [flag.slice("--config=".length)] : [];
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
