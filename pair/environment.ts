/** What a process learns of itself and of where it runs. */

export const PATH_VARIABLE = "SOCKETPAIR_PATH";
export const PORT_VARIABLE = "SOCKETPAIR_PORT";
export const TOKEN_VARIABLE = "SOCKETPAIR_TOKEN";
export const DEBUG_VARIABLE = "SOCKETPAIR_DEBUG";

/** Where a parent listens: the path of a socket, or a port on 127.0.0.1. */
export type Address = { readonly path: string } | { readonly port: number };

/** Read a variable, if this process may and it is UTF-8. */
export function environment(variable: string): string | undefined {
  if (!isHeld({ name: "env", variable })) return;
  try {
    return Deno.env.get(variable);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
  }
}

/** Whether this process holds a permission in full. */
export function isHeld(descriptor: Deno.PermissionDescriptor): boolean {
  const { state, partial } = Deno.permissions.querySync(descriptor);
  return state === "granted" && !partial;
}

/** Whether this process, or the system, has no descriptor left: EMFILE, ENFILE. */
export function isOutOfDescriptors(error: unknown): boolean {
  return /\(os error 2[34]\)/.test(messageOf(error));
}

/**
 * Throw unless a descriptor is free. A module that Deno could not load for want of one is never
 * loaded again in the same process.
 */
export function requireDescriptor(): void {
  if (!isHeld({ name: "net" })) return;
  try {
    Deno.listen({ hostname: "127.0.0.1", port: 0 }).close();
  } catch (error) {
    if (isOutOfDescriptors(error)) throw error;
  }
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
