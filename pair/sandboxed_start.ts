/** What the child of `spawnModule()` runs before the module, unless it is fully trusted. */

import type { Connection } from "../channel.ts";
import {
  type Address,
  connect,
  handOver,
  log,
  messageOf,
  PATH_VARIABLE,
  PORT_VARIABLE,
  REASON_MARK,
  takeAddress,
  TOKEN_VARIABLE,
  writeAll,
  writeToken,
} from "./environment.ts";
import { refuseLinks, type Scope } from "./links.ts";

// What the module could replace.
const { exit } = Deno;

/**
 * Connect, look for links that lead out, give up all rights that the module is not to have, and
 * import it. So the socket's path is out of the module's reach, which could otherwise make a
 * directory of it.
 *
 * @param module Its URL, what it may use unless that is everything, and what to say if what
 * it imports cannot be resolved.
 */
export async function startModule(
  module: {
    specifier: string;
    scope?: Scope;
    hint: string;
    isOverStdio: boolean;
  },
): Promise<void> {
  if (module.isOverStdio) {
    confine(module.scope);
    await load(module);
    return;
  }
  const { address, token } = takeAddress();
  const conn = await connect(address);
  await writeToken(conn, token.slice(0, -1));
  let isTaken = false;
  try {
    confine(module.scope, address);
    const connection = new WatchedConnection(conn);
    handOver({
      conn: connection,
      remainingToken: token.slice(-1),
      onTake() {
        isTaken = true;
        connection.take();
      },
    });
    await load(module);
  } catch (error) {
    if (!isTaken) await writeReason(conn, messageOf(error));
    throw error;
  }
}

/** Write, in place of the last digit, why there will be none, and close. */
async function writeReason(
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

/** Refuse links that lead out, and give up the rights that only this start needs. */
function confine(scope?: Scope, address?: Address) {
  if (scope !== undefined) {
    refuseLinks(scope, address && directoryOf(address));
    revokeReading();
  }
  if (address === undefined) return;
  revokeSocket(address);
  for (const variable of [PATH_VARIABLE, PORT_VARIABLE, TOKEN_VARIABLE]) {
    Deno.permissions.revokeSync({ name: "env", variable });
  }
}

/** Import the module; an error that a specifier cannot be resolved says what may help. */
async function load({ specifier, hint }: { specifier: string; hint: string }) {
  try {
    await import(specifier);
  } catch (error) {
    if (
      hint !== "" && error instanceof TypeError &&
      /not a dependency|not prefixed with|in the node_modules|--cached-only|--sloppy-imports/
        .test(error.message)
    ) {
      error.message += `\n  note: ${hint}`;
    }
    throw error;
  }
}

/**
 * A connection that ends this process if it ends before the module has taken it: the parent is
 * gone, and nobody else ends a module that never connects.
 */
class WatchedConnection implements Connection {
  readonly #conn: Deno.Conn;
  readonly #byte = new Uint8Array(1);
  #isTaken = false;
  /** The read that watches; the first read of the channel gets what it got. */
  #watch: Promise<number | null> | undefined;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    conn.unref();
    this.#watch = conn.read(this.#byte);
    void this.#exitAtEnd(this.#watch);
  }

  async #exitAtEnd(watch: Promise<number | null>) {
    let read: number | null = null;
    try {
      read = await watch;
    } catch {
      // It is closed.
    }
    if (read === null && !this.#isTaken) exit(1);
  }

  take() {
    this.#isTaken = true;
    this.#conn.ref();
  }

  read(buffer: Uint8Array): Promise<number | null> {
    const watch = this.#watch;
    if (watch === undefined) return this.#conn.read(buffer);
    this.#watch = undefined;
    return watch.then((read) => {
      if (read !== null) buffer.set(this.#byte);
      return read;
    });
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#conn.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    this.#conn.close();
  }

  ref(): void {
    this.#conn.ref();
  }

  unref(): void {
    this.#conn.unref();
  }
}

function directoryOf(address: Address): string | undefined {
  return "path" in address
    ? address.path.slice(0, address.path.lastIndexOf("/"))
    : undefined;
}

/** The right to read everything was for {@linkcode refuseLinks}; narrower ones stay. */
function revokeReading() {
  if (Deno.build.os === "windows") return;
  const everything = { name: "read", path: "/" } as const;
  if (Deno.permissions.revokeSync(everything).state === "granted") {
    throw new Deno.errors.NotCapable(
      "Cannot start module: it could read everything",
    );
  }
}

/**
 * Revoking drops each wider grant that covers the path or the port, too. So it is left where
 * there is one: then there is nothing to be gained.
 */
function revokeSocket(address: Address) {
  if ("path" in address) {
    const { path } = address;
    Deno.permissions.revokeSync({ name: "net", host: `unix:${path}` });
    const directory = path.slice(0, path.lastIndexOf("/"));
    for (const name of ["read", "write"] as const) {
      revokeUnless({ name, path: directory }, { name, path });
    }
  } else {
    const host = `127.0.0.1:${address.port}`;
    revokeUnless({ name: "net", host: "127.0.0.1" }, { name: "net", host });
  }
}

function revokeUnless(
  wider: Deno.PermissionDescriptor,
  narrow: Deno.PermissionDescriptor,
) {
  if (Deno.permissions.querySync(wider).state === "granted") return;
  Deno.permissions.revokeSync(narrow);
}
