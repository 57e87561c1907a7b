/**
 * Descriptors that this process was started with: a module needs no permission to use them.
 *
 * A program opens its own descriptors so that they close when another one is executed. Those that
 * it was started with (by socket activation, by `3<file`) stay open in each child, unless a shell
 * in between closes them: `Deno.Command` cannot.
 */

import { isHeld } from "./environment.ts";
import { isFile } from "./paths.ts";

/** Bit of a descriptor's flags: it is closed when another program is executed. */
const CLOSE_ON_EXEC = 0o2000000;

export const SH = "/bin/sh";

/** Closes descriptors above 9, as `sh` cannot everywhere. */
const BASH = "/bin/bash";

/** Close all descriptors but the standard ones, and become the program. */
const SCRIPT = `
for fd in /proc/self/fd/*; do
  fd=\${fd##*/}
  if [ "$fd" -gt 2 ]; then eval "exec $fd<&-"; fi
done
exec "$0" "$@"
`;

/**
 * Make of a program one that closes the descriptors that it would inherit.
 *
 * @param words The program, and its first arguments.
 * @param inherited The descriptors; `null` if they cannot be seen.
 * @param canStart Whether a shell can be started.
 * @throws {Deno.errors.NotSupported} If there are some that cannot be closed.
 */
export function withoutInherited(
  words: readonly string[],
  inherited = inheritedDescriptors(),
  canStart = canRun,
): readonly string[] {
  if (inherited?.length === 0) return words;
  const isHigh = inherited?.some(({ number }) => number > 9);
  const shell = (isHigh ? [BASH] : [BASH, SH]).find(canStart);
  if (shell !== undefined) {
    // Privileged: bash then imports no functions from the environment.
    const flags = shell === BASH ? ["-p"] : [];
    return [shell, ...flags, "-c", SCRIPT, ...words];
  }
  // There may be none.
  if (inherited === null) return words;
  const names = inherited.map(({ number, target }) => `${number} (${target})`);
  throw new Deno.errors.NotSupported(
    `Cannot spawn module: it could use the descriptors that this process was started with, ${
      names.join(", ")
    }, and there is no ${isHigh ? BASH : SH} to close them`,
  );
}

export interface Inherited {
  readonly number: number;
  /** What it is open on. */
  readonly target: string;
}

/** The descriptors, if they can be seen: on Linux, with all permissions. */
function inheritedDescriptors(): Inherited[] | null {
  if (Deno.build.os !== "linux") return [];
  // Avoid a permission prompt.
  if (!isHeld({ name: "read" })) return null;
  try {
    return Array.from(Deno.readDirSync("/proc/self/fdinfo"))
      .map(({ name }) => Number(name))
      .filter((number) => number > 2 && isInheritable(infoOf(number)))
      .sort((a, b) => a - b)
      .map((number) => ({ number, target: targetOf(number) }));
  } catch (error) {
    if (isInvisible(error)) return null;
    throw error;
  }
}

/** Empty if the descriptor is closed, as that of the directory itself. */
function infoOf(number: number): string {
  try {
    return Deno.readTextFileSync(`/proc/self/fdinfo/${number}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Whether a descriptor, by its `/proc/self/fdinfo`, is left open when a program is executed. */
export function isInheritable(info: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  return flags !== undefined && (parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
}

function targetOf(number: number): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${number}`);
  } catch {
    return "unknown";
  }
}

function isInvisible(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotCapable ||
    error instanceof Deno.errors.PermissionDenied;
}

/** Whether a program exists, and this process may run it. */
export function canRun(path: string): boolean {
  return isHeld({ name: "run", command: path }) && isFile(path);
}
