/** The child's half of the handshake (`handshake.ts`). */

import type { Connection } from "../channel.ts";
import {
  type Address,
  log,
  messageOf,
  PATH_VARIABLE,
  PORT_VARIABLE,
  TOKEN_VARIABLE,
} from "./environment.ts";

/** What stands in place of the last digit before a reason. */
export const REASON_MARK = 0x21;

/** A connection to the parent that has still to write the end of the token. */
export interface PendingConnection {
  readonly conn: Connection;
  readonly remainingToken: string;
  /** Called once it is taken. */
  onTake?(): void;
}

/** Where {@linkcode handOver} leaves a connection, and `null` is once it was taken: a global symbol. */
const CONNECTION_KEY = Symbol.for("@socketpair/socketpair");

/** Leave a connection to the module that is loaded next. */
export function handOver(connection: PendingConnection) {
  Reflect.set(globalThis, CONNECTION_KEY, connection);
}

/** Take the connection that was handed over, or else connect. */
export async function takeConnection(): Promise<PendingConnection> {
  const connection: unknown = Reflect.get(globalThis, CONNECTION_KEY);
  if (isPendingConnection(connection)) {
    Reflect.set(globalThis, CONNECTION_KEY, null);
    connection.onTake?.();
    return connection;
  }
  // It was taken: nothing else may be read any more.
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
    return await Deno.connect({ transport: "unix", path: address.path });
  }
  const { port } = address;
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay();
  return conn;
}

/** Write a part of the token. */
export async function writeToken(
  conn: Pick<Connection, "write">,
  part: string,
): Promise<void> {
  // No TextEncoder: loading Deno's takes a child 0.1 ms.
  await writeAll(conn, Uint8Array.from(part, (digit) => digit.charCodeAt(0)));
}

/** Write, in place of the last digit, why there will be none, and close. */
export async function writeReason(
  conn: Deno.Conn,
  reason: string,
): Promise<void> {
  try {
    await writeAll(conn, Uint8Array.of(REASON_MARK));
    await writeAll(conn, new TextEncoder().encode(reason));
    conn.close();
  } catch (error) {
    // The parent waits no more, or the module has closed it.
    log?.(`could not say why: ${messageOf(error)}`);
  }
}

async function writeAll(conn: Pick<Connection, "write">, bytes: Uint8Array) {
  let rest = bytes;
  while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
}

/** Take the address and the token that the parent has left in the environment. */
export function takeAddress(): { address: Address; token: string } {
  const path = takeVariable(PATH_VARIABLE);
  const port = takeVariable(PORT_VARIABLE);
  const token = takeVariable(TOKEN_VARIABLE);
  if (token === undefined || (path ?? port) === undefined) {
    throw nothingLeft();
  }
  return {
    address: path === undefined ? { port: Number(port) } : { path },
    token,
  };
}

/** Why a process cannot connect that is no child, or has connected. */
function nothingLeft(): Error {
  return new Error(
    "Cannot connect to parent: SOCKETPAIR_PATH and SOCKETPAIR_TOKEN are not set: spawn() sets them, and they serve once",
  );
}

/** Read a variable, and delete it so that children of this process do not inherit it. */
function takeVariable(name: string): string | undefined {
  try {
    const value = Deno.env.get(name);
    Deno.env.delete(name);
    return value || undefined;
  } catch (error) {
    // Undefined in a Worker, which has no connection handed over.
    const main: string | undefined = Deno.mainModule;
    if (main === undefined && error instanceof Deno.errors.NotCapable) {
      error.message =
        `Cannot connect to parent in a Worker: ${error.message}; in a child of spawnModule() only the main module can connect: post its messages to the Worker`;
    }
    throw error;
  }
}
