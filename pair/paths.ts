import { resolve } from "node:path";
import { isHeld } from "./environment.ts";

/** Whether an error says that nothing is at a path. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
}

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

/** Resolve a path against the current directory of this process. */
export function absolutePath(path: string): string {
  try {
    return resolve(path);
  } catch (error) {
    if (error instanceof Error) {
      error.message =
        `Cannot resolve path "${path}" against the current directory, which is gone or not UTF-8: use an absolute path: ${error.message}`;
    }
    throw error;
  }
}

/** Whether a file exists, even if this process may not read it. */
export function isFile(path: string): boolean {
  const isReadable = isHeld({ name: "read", path });
  try {
    if (isReadable) return Deno.statSync(path).isFile;
    // No process can start in a file, which is another error than for a missing directory.
    new Deno.Command(Deno.execPath(), { args: ["--version"], cwd: path })
      .outputSync();
    return false;
  } catch (error) {
    return !isReadable && error instanceof Deno.errors.NotADirectory;
  }
}
