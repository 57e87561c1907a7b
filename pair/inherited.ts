/**
 * Descriptors that this process was started with: a module needs no permission to use them.
 *
 * A program opens its own descriptors so that they close when another one is executed. Those that
 * it was started with (by socket activation, by `3<file`) stay open, unless a shell closes them.
 */

import { isHeld } from "./environment.ts";
import { isFile } from "./paths.ts";

/** Bit of a descriptor's flags: it is closed when another program is executed. */
const CLOSE_ON_EXEC = 0o2000000;

/** The shell: others close no descriptors above 9. */
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
 * Add to a command what closes the descriptors that it would inherit.
 *
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
  // Privileged: bash then imports no functions from the environment.
  if (canStart(BASH)) return [BASH, "-p", "-c", SCRIPT, ...words];
  // There may be none.
  if (inherited === null) return words;
  throw new Deno.errors.NotSupported(
    `Cannot spawn module: it could use the descriptors that this process was started with, ${
      inherited.join(", ")
    }, and there is no ${BASH} to close them`,
  );
}

/** The descriptors, if they can be seen: on Linux, with all permissions. */
function inheritedDescriptors(): number[] | null {
  if (Deno.build.os !== "linux") return [];
  // Avoid a permission prompt.
  if (!isHeld({ name: "read" })) return null;
  try {
    return Array.from(Deno.readDirSync("/proc/self/fdinfo"))
      .map(({ name }) => Number(name))
      .filter((number) => number > 2 && isInheritable(infoOf(number)));
  } catch (error) {
    const { NotCapable, NotFound } = Deno.errors;
    if (error instanceof NotCapable || error instanceof NotFound) return null;
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

export function canRun(path: string): boolean {
  return isHeld({ name: "run", command: path }) && isFile(path);
}
