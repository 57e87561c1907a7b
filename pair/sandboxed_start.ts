/** What the child of `spawnModule()` runs before the module, unless it is fully trusted. */

import {
  type Address,
  BROKER_VARIABLE,
  connect,
  CONNECTION_VARIABLES,
  handOver,
  log,
  messageOf,
  REASON_MARK,
  takeAddress,
  writeAll,
  writeToken,
} from "./environment.ts";

// What the module could replace.
const { exit } = Deno;

/** The module, and what its start depends on. */
export interface ModuleStart {
  specifier: string;
  /** What an error says if an import cannot be resolved. */
  hint: string;
  /** Whether npm packages of Deno's cache are there. */
  hasNpmCache: boolean;
  isOverStdio: boolean;
  /** Whether the caller has named a permission broker. */
  mayAskBroker: boolean;
}

/** Connect, give up the permissions that the module does not get, and import it. */
export async function startModule(module: ModuleStart): Promise<void> {
  if (module.isOverStdio) {
    confine(module);
    await load(module);
    return;
  }
  const { address, token } = takeAddress();
  const conn = await connect(address);
  await writeToken(conn, token.slice(0, -1));
  const watch = exitWithParent(conn);
  try {
    confine(module, address);
    handOver({
      conn,
      remainingToken: token.slice(-1),
      onTake: () => watch.end(),
    });
    await load(module);
  } catch (error) {
    if (watch.isPending) await writeReason(conn, messageOf(error));
    throw error;
  }
}

/** Write, in place of the last digit, why there will be none, and close. */
async function writeReason(conn: Deno.Conn, reason: string) {
  try {
    await writeAll(conn, new TextEncoder().encode(`${REASON_MARK}${reason}`));
    conn.close();
  } catch (error) {
    // The parent has stopped waiting, or the module has closed it.
    log?.(`could not say why: ${messageOf(error)}`);
  }
}

/** Refuse a permission broker, and give up the permissions that only this start needs. */
function confine({ mayAskBroker }: ModuleStart, address?: Address) {
  if (!mayAskBroker && Deno.env.get(BROKER_VARIABLE) !== undefined) {
    throw new Deno.errors.NotCapable(
      `Cannot start module: ${BROKER_VARIABLE} is set, and a broker would decide in place of its permissions: unset it, or name it in the option env`,
    );
  }
  Deno.permissions.revokeSync({ name: "env", variable: BROKER_VARIABLE });
  if (address === undefined) return;
  revokeSocket(address);
  for (const variable of CONNECTION_VARIABLES) {
    Deno.permissions.revokeSync({ name: "env", variable });
  }
}

function noteOf(message: string, module: ModuleStart): string | undefined {
  const { specifier, hint, hasNpmCache } = module;
  if (/npm package not found|in the node_modules/.test(message)) {
    return hasNpmCache || /node_modules/.test(hint)
      ? hint
      : 'set "nodeModulesDir": "manual" in deno.json and add the package with "deno add", or pass npmCache: true and wall: "bubblewrap"';
  }
  if (/Requires import access|not found in cache/.test(message)) {
    return `the sandbox downloads nothing: run "deno cache ${specifier}" first`;
  }
  if (
    /not a dependency|not prefixed with|--(cached-only|sloppy)/.test(message)
  ) {
    return hint;
  }
  if (/Requires read access/.test(message)) {
    return 'without a grant a module may read the code that it imports from its own directory by literal specifiers; grant anything else by permissions: { read: ["..."] }';
  }
}

async function load(module: ModuleStart) {
  try {
    await import(module.specifier);
  } catch (error) {
    if (error instanceof Error) {
      // Imports need no permission, but have to be in Deno's cache.
      const message = error.message
        .replace(", run again with the --allow-import flag", "");
      const note = noteOf(message, module);
      error.message = note ? `${message}\n  note: ${note}` : message;
    }
    throw error;
  }
}

/**
 * Exit if the connection ends before the module has taken it: the parent is gone, and nobody else
 * ends a module that never connects. The first read of the channel gets the byte that this reads.
 */
function exitWithParent(conn: Deno.Conn) {
  const watch = {
    isPending: true,
    end() {
      watch.isPending = false;
      conn.ref();
    },
  };
  const byte = new Uint8Array(1);
  const reading = conn.read(byte);
  reading.catch(() => null).then((read) => {
    if (read === null && watch.isPending) exit(1);
  });
  conn.unref();
  conn.read = async (buffer) => {
    Reflect.deleteProperty(conn, "read");
    const read = await reading;
    if (read !== null) buffer.set(byte);
    return read;
  };
  return watch;
}

/** A wider grant of the user is kept: revoking would drop it, too. */
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
