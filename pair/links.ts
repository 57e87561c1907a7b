/**
 * Which symbolic links may lie in a directory that a sandboxed module can reach.
 *
 * Deno checks a path as text, and the kernel follows links: `/m/a/l%2F..%2F..%2Fsecret` does not
 * leave `/m` as text, but if `l` leads to `/m`, the kernel reads `/secret`. Depth decides: if
 * each link in `/m` leads to a place in `/m` that is no less deep than the link, the kernel is
 * never less deep than the text, however many links and `..` the path has. So a path that stays
 * in `/m` as text stays there.
 *
 * A link counts by its own text, wherever it leads today. A path that leaves `/m` and comes back
 * by name can end in another directory of that name; `SECURITY.md` says so.
 *
 * @module
 */

import { isHeld, messageOf } from "./environment.ts";

/**
 * Refuse links that could lead a module out of a directory.
 *
 * @param path The directory.
 * @param writable The directories where the module may write.
 * @throws {Deno.errors.NotCapable} If there is such a link, or the directory cannot be listed.
 */
export async function refuseLinks(
  path: string,
  writable: readonly string[],
): Promise<void> {
  // Avoid a permission prompt.
  if (!isHeld({ name: "read", path })) {
    throw refusal(
      `${path} may not be read, to look for symbolic links: run again with --allow-read=${path}`,
    );
  }
  const root = await look(path, "resolved", Deno.realPath);
  if (root === undefined) return;
  const places = writable.map(realPathOf);
  const folders = [{ folder: root, depth: 0 }];
  for (const { folder, depth } of folders) {
    const entries = await look(folder, "listed", (folder) =>
      Array.fromAsync(Deno.readDir(folder))) ?? [];
    for (const { name, isDirectory, isSymlink } of entries) {
      // Deno reads every name that is not UTF-8 as the same text.
      if (name.includes("\uFFFD")) {
        throw refusal(`${folder} holds a name that is not UTF-8: ${name}`);
      }
      const entry = `${folder === "/" ? "" : folder}/${name}`;
      if (isDirectory) {
        folders.push({ folder: entry, depth: depth + 1 });
      }
      if (!isSymlink) {
        continue;
      }
      const text = await look(entry, "read", Deno.readLink);
      if (text === undefined) {
        continue;
      }
      if (descent(text, depth, root) < 0) {
        throw refusal(
          `the symbolic link ${entry} leads out of ${root}, or to a place that is less deep in it`,
        );
      }
      if (
        !isMovable(text) && places.some((place) =>
          isInside(entry, place)
        )
      ) {
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
async function look<T>(
  path: string,
  how: string,
  read: (path: string) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read(path);
  } catch (error) {
    if (isAbsence(error)) return;
    throw refusal(`${path} cannot be ${how}: ${messageOf(error)}`);
  }
}

/** Whether an error says that nothing is at a path. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
}

/**
 * How much deeper a link leads than it lies: below 0 if it leads up, or out of the directory.
 *
 * @param text What the link says.
 * @param depth How deep the folder of the link lies: 0 for the directory itself.
 * @param root The directory: its real path.
 */
export function descent(text: string, depth: number, root: string): number {
  let reached = depth;
  let rest = text;
  if (text.startsWith("/")) {
    if (!isInside(text, root)) return -1;
    reached = 0;
    rest = text.slice(root.length);
  }
  for (const name of rest.split("/")) {
    if (name === "..") reached--;
    else if (name !== "" && name !== ".") reached++;
    if (reached < 0) return -1;
  }
  return reached - (depth + 1);
}

/** Whether a link obeys the rule wherever it is moved: it leads to a name in its own folder. */
export function isMovable(text: string): boolean {
  return !["", ".", ".."].includes(text) && !text.includes("/");
}

/** Whether a path is a directory, or lies in it. */
export function isInside(path: string, directory: string): boolean {
  return path === directory ||
    path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
}

/** The real path, where this process may know it. */
export function realPathOf(path: string): string {
  if (!isHeld({ name: "read", path })) return path;
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}
