/** What the child of `spawnModule()` runs before the module, unless it is fully trusted. */

import {
  type Address,
  PATH_VARIABLE,
  PORT_VARIABLE,
  takeAddress,
  TOKEN_VARIABLE,
} from "./environment.ts";
import { connect, handOver, writeToken } from "./handshake.ts";

/**
 * Connect, give up the right to, and import the module. So the socket's path is out of the
 * module's reach, which could otherwise make a directory of it.
 *
 * @param module Its URL, and its directory if it is a file.
 */
export async function startModule(
  module: { specifier: string; directory?: string },
): Promise<void> {
  const { address, token } = takeAddress();
  const conn = await connect(address);
  revokeSocket(address);
  for (const variable of [PATH_VARIABLE, PORT_VARIABLE, TOKEN_VARIABLE]) {
    Deno.permissions.revokeSync({ name: "env", variable });
  }
  await writeToken(conn, token.slice(0, -1));
  handOver({ conn, remainingToken: token.slice(-1) });
  if (module.directory !== undefined) refuseLinksOut(module.directory);
  await import(module.specifier);
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
    revokeUnless({ name: "read", path: directory }, { name: "read", path });
    revokeUnless({ name: "write", path: directory }, { name: "write", path });
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

/** Deno follows symbolic links out of a directory that may be read. */
function refuseLinksOut(root: string) {
  const realRoot = Deno.realPathSync(root);
  const inside = realRoot.endsWith("/") ? realRoot : `${realRoot}/`;
  const leadsInside = (path: string) => {
    try {
      return `${Deno.realPathSync(path)}/`.startsWith(inside);
    } catch {
      return false;
    }
  };
  // By the path that is granted: the real one may be another.
  const directories = [root];
  for (const directory of directories) {
    let entries;
    try {
      entries = [...Deno.readDirSync(directory)];
    } catch (error) {
      // What this user cannot read, the module cannot either.
      if (error instanceof Deno.errors.PermissionDenied) continue;
      throw error;
    }
    for (const { name, isDirectory, isSymlink } of entries) {
      const path = `${directory}/${name}`;
      if (isDirectory) directories.push(path);
      if (isSymlink && !leadsInside(path)) {
        throw new Deno.errors.NotCapable(
          `Cannot start module: the symbolic link ${path} leads out of its directory, or nowhere`,
        );
      }
    }
  }
}
