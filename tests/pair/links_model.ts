/** A file system in memory, as far as walking it goes, and trees and paths to walk at random. */

/** Random numbers that a seed gives again: mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("Cannot pick: no items");
    return item;
  }
}

/** Each path is real: an absolute one without links, `.` or `..`. */
export class Tree {
  /** What a link says, `null` for a directory, `""` for a file. */
  readonly nodes = new Map<string, string | null>([["/", null]]);

  makeDirectory(path: string) {
    const names = path.split("/").slice(1);
    for (let end = 1; end <= names.length; end++) {
      const parent = `/${names.slice(0, end).join("/")}`;
      if (!this.nodes.has(parent)) this.nodes.set(parent, null);
    }
  }

  /** Nothing happens where there is something, or no directory to put it in. */
  put(path: string, content: string): boolean {
    if (this.nodes.has(path) || this.nodes.get(parentOf(path)) !== null) {
      return false;
    }
    this.nodes.set(path, content);
    return true;
  }

  /** Move what is there, with all that is in it, to where there is nothing. */
  rename(from: string, to: string) {
    if (this.nodes.has(to) || this.nodes.get(parentOf(to)) !== null) return;
    if (`${to}/`.startsWith(`${from}/`)) return;
    for (const [path, node] of [...this.nodes]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.nodes.delete(path);
      this.nodes.set(to + path.slice(from.length), node);
    }
  }

  names(directory: string): string[] {
    const inside = directory === "/" ? "/" : `${directory}/`;
    return [...this.nodes.keys()]
      .filter((path) => path.startsWith(inside) && path !== "/")
      .map((path) => path.slice(inside.length))
      .filter((name) => !name.includes("/"));
  }

  /** Walk as the kernel does: the real path, or `undefined` if there is nothing. */
  walk(path: string, start = "/", budget = { links: 40 }): string | undefined {
    let place = path.startsWith("/") ? "/" : start;
    for (const name of path.split("/")) {
      if (this.nodes.get(place) !== null) return;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        place = parentOf(place);
        continue;
      }
      const next = place === "/" ? `/${name}` : `${place}/${name}`;
      const node = this.nodes.get(next);
      if (node === undefined) return;
      if (node === null || node === "") place = next;
      else {
        if (--budget.links < 0) return;
        const target = this.walk(node, place, budget);
        if (target === undefined) return;
        place = target;
      }
    }
    return place;
  }
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Read a path as Deno checks it: `..` takes a name away, whatever that is. */
export function normalize(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

/** So few that directories of the same name lie in one another. */
const NAMES = ["a", "b", "c"];

function randomPath(random: Random, length: number): string {
  return Array.from({ length }, () => `/${random.pick(NAMES)}`).join("");
}

export interface World {
  tree: Tree;
  /** What is granted: directories, and at times a file. */
  granted: string[];
  /** The directories among them, by their real paths. */
  directories: string[];
  /** What may be written: one of them, or a directory in it. */
  writable: string;
}

export type Accepts = (
  link: { path: string; text: string; depth: number; root: string },
  writable: string,
) => boolean;

/** A tree with directories that are granted, and in these links that a rule accepts. */
export function randomWorld(
  random: Random,
  accepts: Accepts,
): World {
  const tree = new Tree();
  const directories = Array.from(
    { length: 1 + random.below(2) },
    () => randomPath(random, 1 + random.below(3)),
  ).filter((path, index, all) =>
    !all.some((other, otherIndex) =>
      otherIndex !== index && `${path}/`.startsWith(`${other}/`) &&
      (path !== other || otherIndex < index)
    )
  );
  for (const directory of directories) tree.makeDirectory(directory);
  for (let count = random.below(16); count > 0; count--) {
    tree.makeDirectory(randomPath(random, 1 + random.below(5)));
  }
  for (const directory of directories) {
    for (let count = 1 + random.below(8); count > 0; count--) {
      tree.makeDirectory(directory + randomPath(random, 1 + random.below(4)));
    }
  }
  const granted = [...directories];
  // A directory may be granted by a link that leads to it.
  for (const [index, directory] of directories.entries()) {
    if (random.below(4) > 0) continue;
    const alias = `${randomPath(random, random.below(3))}/z${index}`;
    if (directories.some((path) => alias.startsWith(`${path}/`))) continue;
    tree.makeDirectory(parentOf(alias));
    if (tree.put(alias, directory)) granted[index] = alias;
  }
  const writable = random.below(2) === 0
    ? random.pick(directories)
    : random.pick(
      [...tree.nodes].filter(([path, node]) =>
        node === null &&
        directories.some((place) => `${path}/`.startsWith(`${place}/`))
      ).map(([path]) => path),
    );
  for (const directory of directories) {
    const folders = [...tree.nodes].filter(([path, node]) =>
      node === null && `${path}/`.startsWith(`${directory}/`)
    ).map(([path]) => path);
    for (let count = random.below(10); count > 0; count--) {
      const folder = random.pick(folders);
      const depth = folder.slice(directory.length).split("/").length - 1;
      const text = randomTarget(random, depth, directory);
      const path = `${folder}/${random.pick(["l", "m", ...NAMES])}`;
      if (accepts({ path, text, depth, root: directory }, writable)) {
        tree.put(path, text);
      }
    }
  }
  for (const [path, node] of [...tree.nodes]) {
    if (node === null) tree.put(`${path === "/" ? "" : path}/f`, "");
  }
  if (random.below(2) === 0) {
    const file = `${randomPath(random, 1 + random.below(3))}/f`;
    if (tree.nodes.has(file)) granted.push(file);
  }
  return { tree, granted, directories, writable };
}

function randomTarget(random: Random, depth: number, root: string): string {
  const steps = Array.from(
    { length: 1 + random.below(5) },
    () => random.below(3) === 0 ? ".." : random.pick(["l", ...NAMES]),
  );
  if (random.below(2) === 0) {
    steps.unshift(...new Array(random.below(depth + 2)).fill(".."));
  }
  const text = steps.join("/");
  return random.below(8) === 0 ? `${root}/${text}` : text;
}

function isLink(tree: Tree, folder: string, name: string): boolean {
  return !!tree.nodes.get(folder === "/" ? `/${name}` : `${folder}/${name}`);
}

/** Do what a module can that may write in a directory: it can make no link. */
export function rearrange(random: Random, { tree, writable }: World) {
  for (let count = 20; count > 0; count--) {
    const places = [...tree.nodes]
      .filter(([path]) => path.startsWith(`${writable}/`));
    const folders = [
      writable,
      ...places.filter(([, node]) => node === null).map(([path]) => path),
    ];
    const to = `${random.pick(folders)}/${random.pick(["l", "m", ...NAMES])}`;
    if (places.length === 0 || random.below(3) === 0) {
      if (!tree.nodes.has(to)) tree.makeDirectory(to);
    } else {
      const links = places.filter(([, node]) => node !== null && node !== "");
      const moved = links.length > 0 && random.below(2) === 0 ? links : places;
      tree.rename(random.pick(moved)[0], to);
    }
  }
}

/** A path that wanders through what is there, with `..` in every place, and often comes back. */
export function randomWalk(random: Random, { tree, granted }: World): string {
  let path = random.below(4) === 0 ? "" : random.pick(granted);
  for (let count = 1 + random.below(14); count > 0; count--) {
    const place = tree.walk(path || "/");
    const choice = random.below(10);
    if (place === undefined || choice < 4) path += "/..";
    else if (choice < 9) {
      const all = tree.names(place);
      const links = all.filter((name) => isLink(tree, place, name));
      const names = links.length > 0 && random.below(2) === 0 ? links : all;
      path += names.length > 0 ? `/${random.pick(names)}` : "/..";
    } else path += `/${random.pick(NAMES)}`;
  }
  // Home again: what is missing of a path that was granted, from where the text is.
  if (random.below(2) === 0) {
    const text = normalize(path);
    const target = random.pick(granted);
    if (text === "/" || target.startsWith(`${text}/`)) {
      path += text === "/" ? target : target.slice(text.length);
      if (random.below(2) === 0) path += "/f";
    }
  }
  return path;
}
