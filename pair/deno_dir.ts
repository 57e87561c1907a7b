/** Deno's cache: that of this process, and an empty one for each sandboxed module. */

import { makeDirectory, removeDirectory } from "./directory.ts";
import { environment, isHeld, log, messageOf } from "./environment.ts";
import { outputOf } from "./output.ts";
import { absolutePath, isInside, realPathOf } from "./paths.ts";

export interface CacheOptions {
  readonly cache: string | undefined;
  readonly directory: string | undefined;
  /** Names in the parent's cache that are linked. */
  readonly links: readonly string[];
  /** Directories that the module may read or write. */
  readonly reach: readonly string[];
  readonly isForeign: boolean;
}

/** Where the `npm` of a cache leads that has none: Deno then cannot make it. */
export const NOWHERE = "none";

/**
 * Make an empty `DENO_DIR`.
 *
 * Deno checks no permission for what lies in its cache, and paths below its `npm` lead anywhere
 * (`%2F..`). So a link to nowhere is in its place: the kernel resolves no path below it.
 *
 * @throws {Deno.errors.NotCapable} If the module could reach it.
 */
export async function makeDenoDir(
  { cache, directory, links, reach, isForeign }: CacheOptions,
): Promise<string> {
  const own = await makeDirectory(directory);
  try {
    // The directory stays the parent's: then the module has no storage.
    if (isForeign) await Deno.chmod(own, 0o755);
    const reached = reach.find((path) => isInside(own, realPathOf(path)));
    if (reached !== undefined) {
      throw new Deno.errors.NotCapable(
        `Cannot start module: its cache would lie in ${reached}, which it may read or write: name another directory in the option directory`,
      );
    }
    for (const name of cache === undefined ? [] : links) {
      await link(`${cache}/${name}`, `${own}/${name}`);
    }
    if (!links.includes("npm")) await link(NOWHERE, `${own}/npm`);
    return own;
  } catch (error) {
    await removeDenoDir(own);
    throw error;
  }
}

export async function removeDenoDir(path: string): Promise<void> {
  try {
    await removeDirectory(path);
  } catch (error) {
    log?.(`could not remove the cache of a module: ${messageOf(error)}`);
  }
}

async function link(target: string, path: string): Promise<void> {
  // For a link Deno requires both in full.
  if (isHeld({ name: "read" }) && isHeld({ name: "write" })) {
    return await Deno.symlink(target, path);
  }
  const args = ["-s", "--", target, path];
  const { success, stderr } = await outputOf("ln", { args });
  if (success) return;
  throw new Error(`Cannot link Deno's cache: ${stderr.trim()}`);
}

export function denoDir(env: Record<string, string> = {}): string | undefined {
  const variable = (name: string) => env[name] ?? environment(name);
  const own = variable("DENO_DIR");
  if (own) return absolutePath(own);
  const home = variable("HOME");
  if (Deno.build.os === "darwin") return home && `${home}/Library/Caches/deno`;
  if (Deno.build.os === "windows") return;
  const caches = variable("XDG_CACHE_HOME") || (home && `${home}/.cache`);
  return caches && `${caches}/deno`;
}

/** Where Deno's cache has this package's compiled code: compiling it anew takes a child 30 ms. */
export function compiledDirectory(): string {
  const { protocol, host, pathname } = new URL("..", import.meta.url);
  return `gen/${protocol.replace(":", "/")}${host.replace(":", "_PORT")}${
    decodeURIComponent(pathname).replace(/\/$/, "")
  }`.replaceAll("//", "/");
}
