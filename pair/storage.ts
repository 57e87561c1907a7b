/**
 * What a module keeps in Deno's own directory, by `localStorage` and `caches`: it has an origin
 * of its own, and what is stored for that is of no use to anybody when the module has ended.
 */

import { environment, isHeld, log, messageOf } from "./environment.ts";

/** An origin that no other process has. */
export function newOrigin(): string {
  return `http://${crypto.randomUUID()}.invalid`;
}

/**
 * Remove what is stored for an origin, where this process may.
 *
 * @param origin The origin.
 * @param env Variables that the child has besides those of this process.
 */
export async function removeStorage(
  origin: string,
  env: Record<string, string> = {},
): Promise<void> {
  const directory = denoDirectory(env);
  if (directory === undefined) return;
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(origin),
  );
  const name = new Uint8Array(digest).toHex();
  for (const kind of ["location_data", "location_data/web_cache"]) {
    const path = `${directory}/${kind}/${name}`;
    // Nobody is to be asked for it.
    if (!isHeld({ name: "write", path })) continue;
    try {
      await Deno.remove(path, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      log?.(`could not remove what a module has stored: ${messageOf(error)}`);
    }
  }
}

/**
 * Where Deno keeps what it caches, as far as this process knows.
 *
 * @param env Variables in place of those of this process.
 */
export function denoDirectory(
  env: Record<string, string> = {},
): string | undefined {
  const variable = (name: string) => env[name] ?? environment(name);
  const own = variable("DENO_DIR");
  if (own) return own;
  const home = variable("HOME");
  if (Deno.build.os === "darwin") return home && `${home}/Library/Caches/deno`;
  if (Deno.build.os === "windows") return;
  const caches = variable("XDG_CACHE_HOME") || (home && `${home}/.cache`);
  return caches && `${caches}/deno`;
}
