/** The private directory that a socket is made in. */

import { environment } from "./environment.ts";

/** Bytes that `sockaddr_un.sun_path` holds before its final zero byte. */
const MAX_PATH_LENGTH = Deno.build.os === "linux" ? 107 : 103;

/** Bits of a mode: whoever is not the owner may write. */
const OTHERS_WRITE = 0o022;

/** Bit of a mode: in this directory only the owner of a file may replace it. */
const STICKY = 0o1000;

/** Make a directory that only this user can enter, and return its real path. */
export async function makeDirectory(parent?: string): Promise<string> {
  if (parent === undefined) return await makeDefaultDirectory();
  try {
    const real = await Deno.realPath(parent).catch((error) => {
      checkLength(parent);
      throw error;
    });
    checkLength(real);
    return await Deno.makeTempDir({ dir: real });
  } catch (error) {
    throw withDirectoryContext(parent, error);
  }
}

async function makeDefaultDirectory(): Promise<string> {
  let made;
  try {
    made = Deno.makeTempDirSync();
  } catch (error) {
    // As far as this process may know.
    throw withDirectoryContext(environment("TMPDIR") ?? "/tmp", error);
  }
  try {
    const directory = Deno.realPathSync(made);
    if (socketPathLength(directory) <= MAX_PATH_LENGTH) return directory;
  } catch (error) {
    await Deno.remove(made);
    throw error;
  }
  await Deno.remove(made);
  return await makeDirectory("/tmp");
}

/**
 * Let another user connect to the sockets in a directory: they become its own, the directory
 * never does. Nobody else can act there before.
 *
 * @throws {Deno.errors.PermissionDenied} If somebody else could replace the directory.
 */
export async function letIn(
  directory: string,
  user: { uid?: number | undefined; gid?: number | undefined },
): Promise<void> {
  const { uid = null, gid = null } = user;
  if (uid === null && gid === null) return;
  const parent = parentOf(directory);
  try {
    await checkOwners(directory);
    for (const { name } of Deno.readDirSync(directory)) {
      await Deno.chmod(`${directory}/${name}`, 0o600);
      await Deno.chown(`${directory}/${name}`, uid, gid);
    }
    await Deno.chmod(directory, 0o711);
  } catch (error) {
    throw withDirectoryContext(parent, error);
  }
}

/** Who may write where a directory lies, or owns that place, could replace the directory. */
async function checkOwners(directory: string) {
  const { uid: ownUid } = await Deno.stat(directory);
  for (let path = directory; path !== "/";) {
    path = parentOf(path);
    const { uid, mode } = await Deno.stat(path);
    const isOpen = (mode ?? 0) & OTHERS_WRITE && !((mode ?? 0) & STICKY);
    const isForeign = uid !== 0 && uid !== ownUid;
    if (!isOpen && !isForeign) continue;
    throw new Deno.errors.PermissionDenied(
      isForeign
        ? `"${path}" belongs to user ${uid}, who could replace what is there`
        : `"${path}" can be written by others, who could replace what is there`,
    );
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Remove a directory and all that a child may have put in it. */
export async function removeDirectory(directory: string): Promise<void> {
  try {
    await Deno.remove(directory, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

export function socketPath(directory: string): string {
  return `${directory}/s`;
}

function socketPathLength(directory: string): number {
  return new TextEncoder().encode(socketPath(directory)).length;
}

function checkLength(parent: string) {
  // As long as the name that makeTempDir() will choose.
  const length = socketPathLength(`${parent}/${"0".repeat(16)}`);
  if (length <= MAX_PATH_LENGTH) return;
  throw new RangeError(
    `its socket path would have ${length} bytes, and ${MAX_PATH_LENGTH} is the limit of the system`,
  );
}

function withDirectoryContext(directory: string, error: unknown): unknown {
  if (error instanceof Error) {
    error.message =
      `Cannot make socket in directory "${directory}": ${error.message}`;
  }
  return error;
}
