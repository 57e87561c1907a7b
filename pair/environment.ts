/** What a process learns from its environment, and tells its children through theirs. */

import type { SpawnOptions } from "./options.ts";

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

/** What tells a child where to connect. */
export function addressVariables(address: Address): Record<string, string> {
  if ("path" in address) return { [PATH_VARIABLE]: address.path };
  // This process may itself be a child that has not connected: its own path is not for its child.
  const isInherited = environment(PATH_VARIABLE) !== undefined;
  return {
    [PORT_VARIABLE]: String(address.port),
    ...(isInherited && { [PATH_VARIABLE]: "" }),
  };
}

/** Take the address and the token that the parent has left in the environment. */
export function takeAddress(): { address: Address; token: string } {
  const path = takeVariable(PATH_VARIABLE);
  const port = takeVariable(PORT_VARIABLE);
  const token = takeVariable(TOKEN_VARIABLE);
  if (token === undefined || (path ?? port) === undefined) {
    throw new Error(
      "Cannot connect to parent: SOCKETPAIR_PATH and SOCKETPAIR_TOKEN are not set: spawn() sets them, and they serve once",
    );
  }
  return {
    address: path === undefined ? { port: Number(port) } : { path },
    token,
  };
}

/** Read a variable, and delete it so that children of this process do not inherit it. */
function takeVariable(name: string): string | undefined {
  const value = Deno.env.get(name);
  Deno.env.delete(name);
  return value || undefined;
}

/** The options of `Deno.Command` for a child. */
export function commandOptions<In, Out>(
  options: SpawnOptions<In, Out>,
  env: Record<string, string>,
): Deno.CommandOptions {
  const { cwd, uid, gid } = options;
  return {
    args: options.args ?? [],
    env: { ...options.env, ...env, ...(log && { [DEBUG_VARIABLE]: "1" }) },
    clearEnv: options.clearEnv ?? false,
    stdin: options.stdin ?? "null",
    stdout: options.stdout ?? "inherit",
    stderr: options.stderr ?? "inherit",
    detached: options.detached ?? false,
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
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

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Writes a line to standard error; `undefined` unless `SOCKETPAIR_DEBUG` is 1. */
export const log: ((line: string) => void) | undefined =
  environment(DEBUG_VARIABLE) === "1"
    // deno-lint-ignore no-console -- standard error is what tracing is for
    ? (line) => console.error(`socketpair ${Deno.pid}: ${line}`)
    : undefined;
