/** The environment, and the child's half of the handshake (`handshake.ts`). */

import type { Connection } from "../channel.ts";

const PATH_VARIABLE = "SOCKETPAIR_PATH";
const PORT_VARIABLE = "SOCKETPAIR_PORT";
export const TOKEN_VARIABLE = "SOCKETPAIR_TOKEN";

/** The variables that tell a child where to connect. */
export const CONNECTION_VARIABLES = [
  PATH_VARIABLE,
  PORT_VARIABLE,
  TOKEN_VARIABLE,
] as const;

export const DEBUG_VARIABLE = "SOCKETPAIR_DEBUG";

/** Other runtimes can import this layer, but not use it. */
const isDeno = "Deno" in globalThis;

/** Deno asks the socket that this names for permissions, and ignores its flags. */
export const BROKER_VARIABLE = "DENO_PERMISSION_BROKER_PATH";

/** Where a parent listens: the path of a socket, or a port on 127.0.0.1. */
export type Address = { readonly path: string } | { readonly port: number };

/** The oldest version of Deno in which this layer works. */
const LEAST_VERSION = "2.9.6";

export function requireDeno(doing: string): void {
  const needs = `Cannot ${doing}: needs Deno ${LEAST_VERSION} or later`;
  if (!isDeno) throw new Error(`${needs}, and this is not Deno`);
  const version = Deno.version.deno;
  if (numberOf(version) >= numberOf(LEAST_VERSION)) return;
  throw new Deno.errors.NotSupported(`${needs}, this is ${version}`);
}

function numberOf(version: string): number {
  return version.split(".")
    .reduce((number, part) => number * 1_000 + parseInt(part), 0);
}

/** Read a variable, if this process may and it is UTF-8. */
export function environment(variable: string): string | undefined {
  // Avoid a permission prompt. Reading takes a child 0.17 ms, asking whether Deno could prompt 0.03.
  if (Deno.stdin.isTerminal() && !isHeld({ name: "env", variable })) return;
  try {
    return Deno.env.get(variable);
  } catch (error) {
    const isUnknown = error instanceof Deno.errors.NotCapable ||
      error instanceof Deno.errors.InvalidData;
    if (!isUnknown) throw error;
  }
}

export function isHeld(descriptor: Deno.PermissionDescriptor): boolean {
  const { state, partial } = Deno.permissions.querySync(descriptor);
  return state === "granted" && !partial;
}

/** Whether an error is EMFILE or ENFILE. */
export function isOutOfDescriptors(error: unknown): boolean {
  return /\(os error 2[34]\)/.test(messageOf(error));
}

/** Throw unless a descriptor is free: without one a module fails to load, and Deno never retries that. */
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
  isDeno && environment(DEBUG_VARIABLE) === "1"
    // deno-lint-ignore no-console -- standard error is what tracing is for
    ? (line) => console.error(`socketpair ${Deno.pid}: ${line}`)
    : undefined;

/** Written in place of the last digit, before a reason. */
export const REASON_MARK = "!";

/** A connection to the parent on which the end of the token is still to be written. */
export interface PendingConnection {
  readonly conn: Connection;
  readonly remainingToken: string;
  onTake?(): void;
}

/** The global property for a connection that is handed over; `null` when it was taken. */
const CONNECTION_KEY = Symbol.for("@socketpair/socketpair");

export function handOver(connection: PendingConnection) {
  Reflect.set(globalThis, CONNECTION_KEY, connection);
}

export async function takeConnection(): Promise<PendingConnection> {
  const connection: unknown = Reflect.get(globalThis, CONNECTION_KEY);
  if (isPendingConnection(connection)) {
    Reflect.set(globalThis, CONNECTION_KEY, null);
    connection.onTake?.();
    return connection;
  }
  // It was taken, and the environment can no longer be read.
  if (connection === null) throw nothingLeft();
  const { address, token } = takeAddress();
  return { conn: await connect(address), remainingToken: token };
}

function isPendingConnection(value: unknown): value is PendingConnection {
  return typeof value === "object" && value !== null && "conn" in value &&
    "remainingToken" in value;
}

export async function connect(address: Address): Promise<Deno.Conn> {
  if ("path" in address) {
    return await Deno.connect({ transport: "unix", ...address });
  }
  const conn = await Deno.connect({ hostname: "127.0.0.1", ...address });
  conn.setNoDelay();
  return conn;
}

export async function writeToken(
  conn: Pick<Connection, "write">,
  part: string,
): Promise<void> {
  // No TextEncoder: loading Deno's takes a child 0.1 ms.
  await writeAll(conn, Uint8Array.from(part, (digit) => digit.charCodeAt(0)));
}

export async function writeAll(
  conn: Pick<Connection, "write">,
  bytes: Uint8Array,
) {
  let rest = bytes;
  while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
}

export function connectionVariables(
  address: Address,
  token: string,
): Record<string, string> {
  return {
    ..."path" in address
      ? { [PATH_VARIABLE]: address.path }
      : { [PORT_VARIABLE]: String(address.port) },
    [TOKEN_VARIABLE]: token,
  };
}

export function takeAddress(): { address: Address; token: string } {
  const path = takeVariable(PATH_VARIABLE);
  const port = takeVariable(PORT_VARIABLE);
  const token = takeVariable(TOKEN_VARIABLE);
  const address = path ? { path } : port ? { port: Number(port) } : undefined;
  if (!token || !address) throw nothingLeft();
  return { address, token };
}

function nothingLeft(): Error {
  return new Error(
    "Cannot connect to parent: SOCKETPAIR_PATH and SOCKETPAIR_TOKEN are not set: spawn() sets them, and they can be used once",
  );
}

/** Read a variable, and delete it so that children of this process do not inherit it. */
function takeVariable(name: string): string | undefined {
  try {
    const value = Deno.env.get(name);
    if (value !== undefined) Deno.env.delete(name);
    return value;
  } catch (error) {
    // Undefined in a Worker, to which no connection is handed over.
    const main: string | undefined = Deno.mainModule;
    if (main === undefined && error instanceof Deno.errors.NotCapable) {
      error.message =
        `Cannot connect to parent in a Worker: ${error.message}; in a child of spawnModule() only the main module can connect: post its messages to the Worker`;
    }
    throw error;
  }
}
