/** The local files that a module's code consists of, as Deno finds them. */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isHeld } from "./environment.ts";
import { isInside } from "./links.ts";

/** The names of code. Deno takes a file of any other name for TypeScript, `.env` for example. */
const CODE = /\.([mc]?[jt]s|[jt]sx|wasm)$/;

/** How to run `deno info`. */
export interface GraphOptions {
  /** The configuration. */
  readonly flags: readonly string[];
  readonly cwd: string | URL | undefined;
  /** Variables besides those of this process; with them no host can be reached. */
  readonly env: Record<string, string>;
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
}

const graphs = new Map<string, Graph>();

/** Graphs that are kept. */
const MAX_GRAPHS = 256;

/**
 * Find the files of a module's graph that are code and lie in its directory or below.
 *
 * A static import of JSON, text or bytes is not among them: the module, which is not trusted,
 * would choose the file (`import env from "./.env" with { type: "text" }`).
 *
 * The graph is kept until one of its files changes.
 */
export async function findCode(
  url: URL,
  options: GraphOptions,
): Promise<readonly string[]> {
  const { flags, cwd, env } = options;
  const key = JSON.stringify([url.href, flags, String(cwd), env]);
  const known = graphs.get(key);
  if (known?.stamp !== undefined && known.stamp === stampOf(known.files)) {
    return known.code;
  }
  const graph = await askDeno(url, options);
  if (graphs.size >= MAX_GRAPHS) graphs.clear();
  graphs.set(key, graph);
  return graph.code;
}

/** Where Deno cannot tell, the module has its own file: what is wrong shows when it is loaded. */
async function askDeno(
  url: URL,
  { flags, cwd, env, timeout, signal }: GraphOptions,
): Promise<Graph> {
  const main = fileURLToPath(url);
  const code = new Set([main]);
  const files = new Set([main, ...flags.flatMap(configPath)]);
  const timer = AbortSignal.timeout(timeout);
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "info",
      "--json",
      "--no-remote",
      "--no-lock",
      ...flags,
      url.href,
    ],
    env: {
      ...env,
      NO_COLOR: "1",
      OTEL_DENO: "false",
      DENO_CACHE_DB_MODE: "memory",
      DENO_NO_UPDATE_CHECK: "1",
    },
    stdin: "null",
    stderr: "null",
    signal: signal ? AbortSignal.any([signal, timer]) : timer,
    ...cwd !== undefined && { cwd },
  }).output();
  signal?.throwIfAborted();
  const { modules = [] } = success
    ? JSON.parse(new TextDecoder().decode(stdout))
    : {};
  let isWhole = success;
  for (const { specifier, local, error } of modules) {
    // A file that is missing today can be there at the next start.
    if (error !== undefined && /^file:/.test(specifier)) isWhole = false;
    if (typeof local !== "string") continue;
    files.add(local);
    // "%2F.." is decoded here: such a path is not what it seems.
    const isPlain = resolve(local) === local;
    if (isPlain && CODE.test(local) && isInside(local, dirname(main))) {
      code.add(local);
    }
  }
  return {
    code: [...code],
    files: [...files],
    stamp: isWhole ? stampOf([...files]) : undefined,
  };
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
