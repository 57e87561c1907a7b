/**
 * Which symbolic links may lie in a directory that a sandboxed module can reach.
 *
 * Deno checks a path as text, and the kernel follows links: `/m/a/l%2F..%2F..%2Fsecret` does not
 * leave `/m` as text, but if `l` leads to `/m`, the kernel reads `/secret`. If each link in `/m`
 * leads to a place in `/m` that is no less deep than the link, the kernel is never less deep than
 * the text, so a path that stays in `/m` as text stays there. `SECURITY.md` says what that leaves
 * open: a path that leaves `/m` and comes back by name.
 */

import { isHeld, messageOf } from "./environment.ts";
import { isAbsence, isInside, realPathOf } from "./paths.ts";

/**
 * Refuse links that could lead a module out of a directory, or that it could move to where they do.
 *
 * @throws {Deno.errors.NotCapable} If there is such a link, or the directory cannot be read.
 */
export async function refuseLinks(
  path: string,
  writable: readonly string[],
  signal: AbortSignal,
) {
  // Avoid a permission prompt.
  if (!isHeld({ name: "read", path })) {
    throw refusal(
      `${path} may not be read, to look for symbolic links: run again with --allow-read=${path}`,
    );
  }
  const root = await look(path, Deno.realPath);
  const places = writable.map(realPathOf);
  const directories = root === undefined ? [] : [{ path: root, depth: 0 }];
  for (const { path, depth } of directories) {
    signal.throwIfAborted();
    const entries = await look(path, (at) => Array.fromAsync(Deno.readDir(at)));
    for (const { name, isDirectory, isSymlink } of entries ?? []) {
      // Deno reads every name that is not UTF-8 as the same text.
      if (name.includes("\uFFFD")) {
        throw refusal(`${path} holds a name that is not UTF-8: ${name}`);
      }
      const entry = `${path === "/" ? "" : path}/${name}`;
      if (isDirectory) directories.push({ path: entry, depth: depth + 1 });
      const text = isSymlink ? await look(entry, Deno.readLink) : undefined;
      if (text === undefined) continue;
      if (descent(text, depth, root) < 0) {
        throw refusal(
          `the symbolic link ${entry} leads out of ${root}, or to a place that is less deep in it`,
        );
      }
      if (!isMovable(text) && places.some((place) => isInside(entry, place))) {
        throw refusal(
          `the symbolic link ${entry} could be moved, because the module may write there, to where it leads out`,
        );
      }
    }
  }
}

function refusal(why: string): Error {
  return new Deno.errors.NotCapable(`Cannot start module: ${why}`);
}

/** What `read` finds at a path; `undefined` if there is nothing, or no directory. */
async function look<T>(path: string, read: (path: string) => Promise<T>) {
  return await read(path).catch((error) => {
    if (isAbsence(error)) return undefined;
    throw refusal(`${path} cannot be read: ${messageOf(error)}`);
  });
}

/** How much deeper a link in `root` leads than it lies: below 0 if it leads up, or out of `root`. */
export function descent(text: string, depth: number, root = "/"): number {
  const isAbsolute = text.startsWith("/");
  if (isAbsolute && !isInside(text, root)) return -1;
  let reached = isAbsolute ? 0 : depth;
  for (const name of text.slice(isAbsolute ? root.length : 0).split("/")) {
    if (name === "..") reached--;
    else if (name !== "" && name !== ".") reached++;
    if (reached < 0) return -1;
  }
  return reached - (depth + 1);
}

/** Whether a link obeys the rule wherever it is moved: it leads to a name in its own directory. */
export function isMovable(text: string): boolean {
  return !["", ".", ".."].includes(text) && !text.includes("/");
}
