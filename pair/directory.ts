/** The private directory that a socket is made in. */

import { environment, isHeld } from "./environment.ts";

/** Bytes that `sockaddr_un.sun_path` holds before its final zero byte. */
const MAX_PATH_LENGTH = globalThis.Deno?.build.os === "linux" ? 107 : 103;

/** Bits of a mode. In a sticky directory only the owner of a file may replace it. */
const GROUP_WRITES = 0o020;
const ALL_WRITE = 0o002;
const STICKY = 0o1000;

/** Names that a directory's sockets have: the channel's, and the one for descriptors. */
const SOCKET_NAMES = ["s", "d"];

const directories = new Set<string>();

/**
 * Make a directory that only this user can enter, and return its real path.
 *
 * @param parent Where; by default in the system's temporary directory, or in `/tmp` if the path of
 * that is too long.
 */
export async function makeDirectory(parent?: string): Promise<string> {
  let dir = parent ?? temporaryDirectory();
  let made;
  try {
    if (parent !== undefined) {
      dir = await Deno.realPath(parent).catch((error) => {
        checkLength(parent);
        throw error;
      });
    }
    made = await Deno.makeTempDir(dir === undefined ? {} : { dir });
    const directory = await Deno.realPath(made);
    checkLength(parentOf(directory));
    checkOwners(directory, { isForOthers: false });
    if (directories.size === 0) addEventListener("unload", removeAll);
    directories.add(directory);
    return directory;
  } catch (error) {
    if (made !== undefined) removeSockets(made);
    if (parent === undefined && error instanceof RangeError) {
      return await makeDirectory("/tmp");
    }
    const advice = parent === undefined
      ? ": set TMPDIR, or the option directory, to one where this user may write"
      : "";
    throw withDirectoryContext(parent ?? dir, error, advice);
  }
}

/** The system's temporary directory, if this process may know. One that is not UTF-8 has no name. */
function temporaryDirectory(): string | undefined {
  if (!isHeld({ name: "env", variable: "TMPDIR" })) return;
  return environment("TMPDIR") || "/tmp";
}

/**
 * Give the sockets in a directory, but not the directory itself, to another user.
 *
 * @throws {Deno.errors.PermissionDenied} If a group could replace the directory.
 */
export async function letIn(
  directory: string,
  user: { uid?: number | undefined; gid?: number | undefined },
): Promise<void> {
  const { uid = null, gid = null } = user;
  if (uid === null && gid === null) return;
  try {
    checkOwners(directory, { isForOthers: true });
    for (const { name } of Deno.readDirSync(directory)) {
      await Deno.chmod(`${directory}/${name}`, 0o600);
      await Deno.chown(`${directory}/${name}`, uid, gid);
    }
    await Deno.chmod(directory, 0o711);
  } catch (error) {
    throw withDirectoryContext(parentOf(directory), error);
  }
}

/**
 * Check the directories above one of ours, as far as this process may: anyone who can write there,
 * or owns them, could replace it. The owner of `/` is trusted: in a user namespace it is not root.
 *
 * @throws {Deno.errors.PermissionDenied} If another user could.
 */
function checkOwners(
  directory: string,
  { isForOthers }: { isForOthers: boolean },
) {
  const { uid: ownUid } = Deno.statSync(directory);
  const isReadable = (path: string) => isHeld({ name: "read", path });
  const rootUid = isReadable("/") ? Deno.statSync("/").uid : 0;
  for (let path = directory; path !== "/";) {
    path = parentOf(path);
    // Avoid a permission prompt.
    if (!isForOthers && !isReadable(path)) return;
    const { uid, gid, mode } = Deno.statSync(path);
    if (mode === null) return;
    // A group of the user's own number has no other member.
    const isOpen = mode & ALL_WRITE ||
      mode & GROUP_WRITES && (isForOthers || gid !== ownUid);
    const isForeign = ![0, ownUid, rootUid].includes(uid);
    if (!isForeign && (!isOpen || mode & STICKY)) continue;
    const how = isForeign
      ? `belongs to user ${uid}`
      : "can be written by others";
    throw new Deno.errors.PermissionDenied(
      `"${path}" ${how}, who could replace what is there`,
    );
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

export async function removeDirectory(directory: string): Promise<void> {
  // To remove anything else takes a free descriptor.
  removeSockets(directory);
  await Deno.remove(directory, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  directories.delete(directory);
  if (directories.size === 0) removeEventListener("unload", removeAll);
}

function removeSockets(directory: string) {
  const sockets = SOCKET_NAMES.map((name) => `${directory}/${name}`);
  for (const path of [...sockets, directory]) removeIfPossible(path);
}

/** At the end of this process there is no time to wait. */
function removeAll() {
  for (const directory of directories) {
    removeSockets(directory);
    removeIfPossible(directory, { recursive: true });
  }
}

function removeIfPossible(path: string, options?: Deno.RemoveOptions) {
  try {
    Deno.removeSync(path, options);
  } catch {
    // It is missing, or not empty.
  }
}

export function socketPath(directory: string): string {
  return `${directory}/s`;
}

function checkLength(parent: string) {
  // As long as the name that Deno.makeTempDir() will choose.
  const path = socketPath(`${parent}/${"0".repeat(16)}`);
  const { length } = new TextEncoder().encode(path);
  if (length <= MAX_PATH_LENGTH) return;
  throw new RangeError(
    `its socket path would have ${length} bytes, and ${MAX_PATH_LENGTH} is the limit of the system`,
  );
}

export function withDirectoryContext(
  directory: string | undefined,
  error: unknown,
  advice = "",
): unknown {
  if (error instanceof Error) {
    const place = directory === undefined
      ? "the temporary directory"
      : `directory "${directory}"`;
    error.message = `Cannot make socket in ${place}: ${error.message}${advice}`;
  }
  return error;
}
