/**
 * Which symbolic links a sandboxed module may find in a directory that it may use.
 *
 * Deno checks a path as it is written, and the kernel walks it: in `/m/a/l%2F..%2F..%2Fsecret`
 * the text never leaves `/m`, and where `l` leads to `/m` itself, the kernel reads `/secret`.
 * Depth decides: as long as each link leads to a place that is no less deep than the link is,
 * a walk is never less deep than its text, however many links and `..` it takes. So where the
 * text stays in the directory, the walk does too.
 *
 * A link counts by its own text, not by where it leads today. The text may not leave the
 * directory either, and a walk is never less deep than the text of the link it follows, by the
 * same argument. So nothing outside has a say, and it does not matter whether the link leads
 * anywhere. A link to a name in its own folder obeys the rule wherever it is moved; no other
 * does.
 *
 * One case is left: a walk that is deeper than its text, leaves the directory above, and comes
 * back by name. In `/a/a/m` the text may be back at `/a` with the walk at `/a/a`; what follows
 * is `a/m/secret`, and the walk is in `/a/a/a/m`. Whether there is such a place is looked up
 * ({@linkcode findEcho}).
 *
 * Links that lie outside are not ours to judge: `/a/b/l/../../m/secret`, with `l` outside, ends
 * in a directory that bears the name of the module's own, and so does a text that comes to the
 * directory by a link.
 *
 * @module
 */

import { messageOf } from "./environment.ts";

/** What a module may use, as its parent has granted it. */
export interface Scope {
  /** What may be read: files and directories, absolute. */
  readonly read: readonly string[];
  /** Those of them that are files of this package, and hold no link. */
  readonly own: readonly string[];
  /** What may be written: everything, or files and directories, absolute. */
  readonly write: true | readonly string[];
}

/**
 * Look through all directories that a module may use, and throw if there is a link that could
 * lead it out of them. Needs to read everything.
 *
 * What cannot be looked into keeps the module from starting, too; what vanishes meanwhile does
 * not.
 *
 * @param scope What the module may use.
 * @param socketDirectory The directory of its socket, which may lie in them.
 * @throws {Deno.errors.NotCapable} If there is such a link.
 */
export function refuseLinks(scope: Scope, socketDirectory?: string) {
  const written = scope.write === true ? [] : scope.write;
  const directories = [...scope.read, ...written]
    .filter((path) => !scope.own.includes(path));
  const roots = directories.flatMap(findRoot);
  const writable = scope.write === true
    ? ["/"]
    : written.map((path) => lookUp(path) ?? path);
  let hasDescents = false;
  for (const root of widest(roots.map(({ realPath }) => realPath))) {
    for (const { path, text, depth } of findLinks(root, socketDirectory)) {
      const depthGained = descent(text, depth, root);
      if (depthGained < 0) {
        throw refusal(
          `the symbolic link ${path} leads out of ${root}, or to a place that is less deep in it`,
        );
      }
      if (!isMovable(text) && writable.some((place) => isInside(path, place))) {
        throw refusal(
          `the symbolic link ${path} could be moved, for the module may write there, and would then lead elsewhere`,
        );
      }
      if (depthGained > 0) hasDescents = true;
    }
  }
  const echo = findEcho(roots, scope.read, hasDescents, lookUp);
  if (echo !== undefined) {
    throw refusal(
      `it could read ${echo}, which has the name of what it may read, through links that lead to directories deeper than they lie`,
    );
  }
}

function refusal(why: string): Error {
  return new Deno.errors.NotCapable(`Cannot start module: ${why}`);
}

/** What is granted but not there, or is no directory, has no links. */
function findRoot(path: string): Root[] {
  try {
    if (!Deno.statSync(path).isDirectory) return [];
    return [{ path, realPath: Deno.realPathSync(path) }];
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}

/** The directories that lie in no other one. */
function widest(directories: string[]): string[] {
  const all = [...new Set(directories)];
  return all.filter((path) =>
    !all.some((other) => other !== path && isInside(path, other))
  );
}

/** The real path of what this process can reach. */
function lookUp(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    const isOutOfReach = isAbsence(error) ||
      error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.FilesystemLoop;
    if (isOutOfReach) return;
    throw error;
  }
}

/** Whether an error says that there is nothing of a path. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
}

interface Link {
  path: string;
  text: string;
  /** How deep its folder lies in the root. */
  depth: number;
}

/** All links in a directory, and in those below it. */
function* findLinks(root: string, except?: string): Generator<Link> {
  const folders = [{ folder: root, depth: 0 }];
  for (const { folder, depth } of folders) {
    if (folder === except) continue;
    const entries = lookAt(folder, "listed", Deno.readDirSync) ?? [];
    for (const { name, isFile, isDirectory, isSymlink } of entries) {
      // What is no UTF-8 is read as this, and cannot be told from another name.
      if (name.includes("\uFFFD")) {
        throw refusal(`${folder} holds a name that is not UTF-8: ${name}`);
      }
      if (isFile) continue;
      const path = `${folder === "/" ? "" : folder}/${name}`;
      if (isDirectory) folders.push({ folder: path, depth: depth + 1 });
      else if (isSymlink) {
        const text = lookAt(path, "read", Deno.readLinkSync);
        if (text !== undefined) yield { path, text, depth };
      }
    }
  }
}

/** What is found at a path, unless it has vanished. */
function lookAt<T>(
  path: string,
  how: string,
  look: (path: string) => T,
): T | undefined {
  try {
    return look(path);
  } catch (error) {
    if (isAbsence(error)) return;
    throw refusal(`${path} cannot be ${how}: ${messageOf(error)}`);
  }
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
  return text !== "" && text !== "." && text !== ".." && !text.includes("/");
}

/** Whether a path is a directory, or lies in it. */
export function isInside(path: string, directory: string): boolean {
  return path === directory ||
    path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
}

/** A directory that a module may use: the path that was granted, and the real one. */
export interface Root {
  readonly path: string;
  readonly realPath: string;
}

/**
 * Find a path outside that a walk may end in while its text ends in what was granted.
 *
 * @param roots The directories that were walked.
 * @param granted All paths that were granted.
 * @param hasDescents Whether a link leads deeper than it lies.
 * @param realPathOf The real path, or `undefined` if there is nothing.
 */
export function findEcho(
  roots: readonly Root[],
  granted: readonly string[],
  hasDescents: boolean,
  realPathOf: (path: string) => string | undefined,
): string | undefined {
  // How many names the walk has more than the text, at the least, once they are not one.
  let lead = hasDescents ? 1 : Infinity;
  for (const { path, realPath } of roots) {
    const isShorter = split(realPath).length < split(path).length;
    if (path !== realPath) lead = Math.min(lead, isShorter ? -Infinity : 0);
  }
  if (lead === Infinity) return;
  const known = new Map<string, string | undefined>();
  const look = (path: string) => {
    if (!known.has(path)) known.set(path, realPathOf(path));
    return known.get(path);
  };
  for (const walk of roots.map(({ realPath }) => split(realPath))) {
    for (const path of granted) {
      const text = split(path);
      // The walk is at the first `reached` names of the one, and the text at `left` of the other.
      for (let left = 0; left < text.length; left++) {
        for (let reached = 0; reached < walk.length; reached++) {
          if (reached - left < lead) continue;
          const place = walk.slice(0, reached);
          if (join(place) === join(text.slice(0, left))) continue;
          const names = text.slice(left);
          // Most often there is not even the first of them.
          if (look(join([...place, ...names.slice(0, 1)])) === undefined) {
            continue;
          }
          const echo = join([...place, ...names]);
          const real = look(echo);
          if (real !== undefined && real !== look(path)) return echo;
        }
      }
    }
  }
}

function split(path: string): string[] {
  return path.split("/").filter((name) => name !== "");
}

function join(names: string[]): string {
  return `/${names.join("/")}`;
}
