/** What a process learns from its environment, and tells its children through theirs. */

export const DEBUG_VARIABLE = "SOCKETPAIR_DEBUG";

/** Read a variable, if this process may. */
export function environment(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Writes a line to standard error; `undefined` unless `SOCKETPAIR_DEBUG` is 1. */
export const log: ((line: string) => void) | undefined =
  environment(DEBUG_VARIABLE) === "1"
    // deno-lint-ignore no-console -- standard error is what tracing is for
    ? (line) => console.error(`socketpair ${Deno.pid}: ${line}`)
    : undefined;
