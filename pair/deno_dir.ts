/** Deno's cache: that of this process, and an empty one for each sandboxed module. */

import { dirname } from "node:path";
import { makeDirectory, removeDirectory } from "./directory.ts";
import { environment, isHeld, log, messageOf } from "./environment.ts";
import { isInside, realPathOf } from "./links.ts";
import { absolutePath } from "./permissions.ts";

/** What a module can have of the parent's cache. */
export interface CacheOptions {
  /** The parent's cache. */
  readonly cache: string | undefined;
  /** Where to make the directory. */
  readonly directory: string | undefined;
  /** Names in the parent's cache that are linked. */
  readonly links: readonly string[];
  /** Directories that the module can reach, where a link could lead it out. */
  readonly reach: readonly string[];
  /** Whether the child is another user. */
  readonly isForeign: boolean;
}

/**
 * Make an empty `DENO_DIR`.
 *
 * Deno opens what lies in its cache without a check of permissions, and writes there. Paths below
 * its `npm` lead anywhere (`%2F..`), so a module that is not trusted finds none.
 */
export async function makeDenoDir(
  { cache, directory, links, reach, isForeign }: CacheOptions,
): Promise<string> {
  const own = await makeDirectory(directory);
  try {
    // Deno cannot store compiled code here: see stopStoring().
    await Deno.mkdir(`${own}/gen`);
    await Deno.writeTextFile(`${own}/gen/data`, "");
    // The directory stays the parent's: then the module has no storage.
    if (isForeign) await Deno.chmod(own, 0o755);
    const isReachable = reach.some((path) => isInside(own, realPathOf(path)));
    if (cache !== undefined && !isReachable) {
      for (const name of links) {
        await Deno.mkdir(dirname(`${own}/${name}`), { recursive: true });
        await link(`${cache}/${name}`, `${own}/${name}`);
      }
    }
    return own;
  } catch (error) {
    await removeDenoDir(own);
    throw error;
  }
}

/** Remove what a module has stored; an error is logged. */
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
  const { success, stderr } = await new Deno.Command("ln", {
    args: ["-s", "--", target, path],
  }).output();
  if (success) return;
  throw new Error(
    `Cannot link Deno's cache: ${new TextDecoder().decode(stderr).trim()}`,
  );
}

/**
 * The path of Deno's cache, as far as this process knows.
 *
 * @param env Variables in place of those of this process.
 */
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
