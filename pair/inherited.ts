/**
 * Descriptors that this process was started with: a module needs no permission to use them.
 *
 * A program opens its own descriptors so that they close when another one is executed. What it
 * was started with (by socket activation, by `3<file`) stays open in each child, unless a shell
 * in between closes it: `Deno.Command` cannot.
 */

import { isHeld, messageOf } from "./environment.ts";

/** Bit of a descriptor's flags: it is closed when another program is executed. */
const CLOSE_ON_EXEC = 0o2000000;

export const SH = "/bin/sh";

/** Closes descriptors above 9, as `sh` cannot everywhere. */
const BASH = "/bin/bash";

/** Close all descriptors but the standard ones, and become the program. */
const SCRIPT = `
script=$1
for fd in /proc/self/fd/*; do
  fd=\${fd##*/}
  if [ "$fd" -gt 9 ] && [ -z "$BASH_VERSION" ] && [ -x ${BASH} ]; then
    exec ${BASH} -p -c "$script" "$0" "$@"
  fi
  if [ "$fd" -gt 2 ]; then eval "exec $fd<&-"; fi
done
shift
exec "$0" "$@"
`;

/**
 * Make of a program one that closes the descriptors that it would inherit.
 *
 * @param words The program, and its first arguments.
 * @param inherited The descriptors; `null` where they cannot be seen.
 * @param works Whether a shell can be started.
 * @throws {Deno.errors.NotSupported} If there are some that cannot be closed.
 */
export function withoutInherited(
  words: readonly string[],
  inherited = inheritedDescriptors(),
  works = isWorking,
): readonly string[] {
  if (inherited?.length === 0) return words;
  const shell = inherited?.some(({ number }) => number > 9) ? BASH : SH;
  if (works(shell)) {
    // Privileged: functions in the environment are no commands.
    const flags = shell === BASH ? ["-p"] : [];
    const [program = "", ...args] = words;
    return [shell, ...flags, "-c", SCRIPT, program, SCRIPT, ...args];
  }
  // There may be none.
  if (inherited === null) return words;
  const names = inherited.map(({ number, what }) => `${number} (${what})`);
  throw new Deno.errors.NotSupported(
    `Cannot spawn module: it could use the descriptors that this process was started with, ${
      names.join(", ")
    }, and there is no ${shell} to close them`,
  );
}

export interface Inherited {
  readonly number: number;
  /** What it is open on. */
  readonly what: string;
}

/** What can be seen: on Linux, and with all permissions. */
function inheritedDescriptors(): Inherited[] | null {
  if (Deno.build.os !== "linux") return [];
  // Avoid a permission prompt.
  if (!isHeld({ name: "read" })) return null;
  let entries;
  try {
    entries = [...Deno.readDirSync("/proc/self/fdinfo")];
  } catch (error) {
    if (isOutOfSight(error)) return null;
    throw error;
  }
  return entries
    .map(({ name }) => Number(name))
    .filter((number) => number > 2 && isInherited(number))
    .map((number) => ({ number, what: targetOf(number) }))
    .sort((a, b) => a.number - b.number);
}

function isInherited(number: number): boolean {
  try {
    return isInheritable(Deno.readTextFileSync(`/proc/self/fdinfo/${number}`));
  } catch (error) {
    // It has been closed.
    if (isOutOfSight(error)) return false;
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

const working = new Map<string, boolean>();

/** Whether a shell is there, and may be run. */
export function isWorking(shell: string): boolean {
  let isWorking = working.get(shell);
  if (isWorking === undefined) {
    isWorking = mayRun(shell) && succeeds(shell);
    working.set(shell, isWorking);
  }
  return isWorking;
}

function succeeds(shell: string): boolean {
  try {
    return new Deno.Command(shell, { args: ["-c", "exit"], stdin: "null" })
      .outputSync().success;
  } catch (error) {
    if (isOutOfSight(error)) return false;
    // It was started. Where SIGCHLD is ignored, its status is unknown.
    if (isUntold(error)) return true;
    throw error;
  }
}

/** ECHILD. */
function isUntold(error: unknown): boolean {
  return /\(os error 10\)/.test(messageOf(error));
}

function isOutOfSight(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotCapable ||
    error instanceof Deno.errors.PermissionDenied;
}

function mayRun(command: string): boolean {
  return Deno.permissions.querySync({ name: "run", command }).state ===
    "granted";
}
