/**
 * Descriptors that this process was started with: a module needs no permission to use them.
 *
 * A program opens its own descriptors so that they close when another one is executed. What it
 * was started with (by socket activation, by `3<file`) stays open in each child, unless a shell
 * in between closes it: `Deno.Command` cannot.
 */

import { isHeld } from "./environment.ts";

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
 * @param isUsableShell Whether a shell can be started.
 * @throws {Deno.errors.NotSupported} If there are some that cannot be closed.
 */
export function withoutInherited(
  words: readonly string[],
  inherited = inheritedDescriptors(),
  isUsableShell = isUsable,
): readonly string[] {
  if (inherited?.length === 0) return words;
  const shell = inherited?.some(({ number }) => number > 9) ? BASH : SH;
  if (isUsableShell(shell)) {
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

/** Start a process; an error names the program that the caller knows, not a shell that starts it. */
export function startThrough(
  command: string,
  program: string,
  options: Deno.CommandOptions,
): Deno.ChildProcess {
  try {
    return new Deno.Command(command, options).spawn();
  } catch (error) {
    if (error instanceof Error) {
      error.message = error.message.replaceAll(command, program);
    }
    throw error;
  }
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
  const found: Inherited[] = [];
  try {
    for (const { name } of Deno.readDirSync("/proc/self/fdinfo")) {
      const what = Number(name) > 2 ? inheritableTarget(name) : undefined;
      if (what !== undefined) found.push({ number: Number(name), what });
    }
  } catch (error) {
    // Deno lets only who may do everything look.
    if (error instanceof Deno.errors.NotCapable) return null;
    throw error;
  }
  return found.sort((a, b) => a.number - b.number);
}

function inheritableTarget(number: string): string | undefined {
  try {
    const info = Deno.readTextFileSync(`/proc/self/fdinfo/${number}`);
    if (isInheritable(info)) {
      return Deno.readLinkSync(`/proc/self/fd/${number}`);
    }
  } catch (error) {
    // It has been closed.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Whether a descriptor, by its `/proc/self/fdinfo`, is left open when a program is executed. */
export function isInheritable(info: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  return flags !== undefined && (parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
}

/** Whether this process may run a shell that is there, as far as it can tell. */
export function isUsable(shell: string): boolean {
  const run = { name: "run", command: shell } as const;
  if (Deno.permissions.querySync(run).state !== "granted") return false;
  try {
    return !isHeld({ name: "read", path: shell }) ||
      Deno.statSync(shell).isFile;
  } catch {
    return false;
  }
}
