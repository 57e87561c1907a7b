/** The private directory that a socket is made in. */

import { isHeld } from "./environment.ts";

/** Bytes that `sockaddr_un.sun_path` holds before its final zero byte. */
const MAX_PATH_LENGTH = globalThis.Deno?.build.os === "linux" ? 107 : 103;

/** Bits of a mode: the group, and everybody, may write. */
const GROUP_WRITES = 0o020;
const ALL_WRITE = 0o002;

/** Bit of a mode: in this directory only the owner of a file may replace it. */
const STICKY = 0o1000;

/** Names that a directory's sockets have: the channel's, and the one for descriptors. */
const SOCKET_NAMES = ["s", "d"];

/** What an error advises where TMPDIR will not do. */
const NOT_UTF8 =
  "Cannot make socket in the temporary directory: TMPDIR is not UTF-8: set it, or the option directory, to another";

/** Directories that are in use. */
const directories = new Set<string>();

/** Make a directory that only this user can enter, and return its real path. */
export async function makeDirectory(parent?: string): Promise<string> {
  const directory = parent === undefined
    ? await makeDefaultDirectory()
    : await makeDirectoryIn(parent);
  try {
    checkOwners(directory, { isForOthers: false });
  } catch (error) {
    removeByName(directory);
    throw withDirectoryContext(parent ?? parentOf(directory), error);
  }
  if (directories.size === 0) addEventListener("unload", removeAll);
  directories.add(directory);
  return directory;
}

async function makeDirectoryIn(parent: string): Promise<string> {
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

/** Whether TMPDIR is known not to be UTF-8, although this process may not read it. */
let isNotUtf8 = false;

async function makeDefaultDirectory(): Promise<string> {
  const parent = temporaryDirectory();
  let made;
  try {
    made = Deno.makeTempDirSync();
  } catch (error) {
    if (error instanceof Deno.errors.InvalidData) {
      // Deno has made a directory that this process cannot name. It makes no second one.
      isNotUtf8 = true;
      throw new Deno.errors.InvalidData(NOT_UTF8, { cause: error });
    }
    throw withDirectoryContext(
      parent,
      error,
      ": set TMPDIR, or the option directory, to one where this user may write",
    );
  }
  try {
    const directory = Deno.realPathSync(made);
    if (socketPathLength(directory) <= MAX_PATH_LENGTH) return directory;
  } catch (error) {
    Deno.removeSync(made);
    throw withDirectoryContext(parent, error);
  }
  Deno.removeSync(made);
  return await makeDirectoryIn("/tmp");
}

/** The system's temporary directory, if this process may know. */
function temporaryDirectory(): string | undefined {
  const variable = "TMPDIR";
  if (isNotUtf8) throw new Deno.errors.InvalidData(NOT_UTF8);
  if (!isHeld({ name: "env", variable })) return;
  try {
    return Deno.env.get(variable) || "/tmp";
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    // Deno would make a directory there, and not be able to say which.
    throw new Deno.errors.InvalidData(NOT_UTF8);
  }
}

/**
 * Let another user connect to the sockets in a directory. The sockets are given to that user, the
 * directory is not, and no other user can act there before.
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
  const trusted = [0, ownUid];
  if (isHeld({ name: "read", path: "/" })) {
    trusted.push(Deno.statSync("/").uid);
  }
  for (let path = directory; path !== "/";) {
    path = parentOf(path);
    // Avoid a permission prompt.
    if (!isForOthers && !isHeld({ name: "read", path })) return;
    const { uid, gid, mode } = Deno.statSync(path);
    if (mode === null) return;
    // A group of the user's own number has no other member.
    const canGroupWrite = mode & GROUP_WRITES &&
      (isForOthers || gid !== ownUid);
    const isOpen = (canGroupWrite || mode & ALL_WRITE) && !(mode & STICKY);
    const isForeign = !trusted.includes(uid);
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

/**
 * Remove a directory and all that a child may have put in it.
 *
 * @throws {Error} What the system says, if it cannot be removed.
 */
export async function removeDirectory(directory: string): Promise<void> {
  try {
    // A listener removes its own socket.
    await removeIfThere(directory);
  } catch (error) {
    if (!isNotEmpty(error)) throw error;
    removeByName(directory);
    // Whatever else a child has put there takes a descriptor to list.
    await removeIfThere(directory, { recursive: true });
  }
  directories.delete(directory);
  if (directories.size === 0) removeEventListener("unload", removeAll);
}

function isNotEmpty(error: unknown): boolean {
  return error instanceof Error && /not empty/i.test(error.message);
}

async function removeIfThere(path: string, options?: Deno.RemoveOptions) {
  await Deno.remove(path, options).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** Remove a directory that holds sockets, and nothing else. */
function removeByName(directory: string) {
  const sockets = SOCKET_NAMES.map((name) => `${directory}/${name}`);
  for (const path of [...sockets, directory]) {
    try {
      Deno.removeSync(path);
    } catch {
      // It is missing, or not empty.
    }
  }
}

/** At the end of this process there is no time to wait. */
function removeAll() {
  for (const directory of directories) {
    removeByName(directory);
    try {
      Deno.removeSync(directory, { recursive: true });
    } catch {
      // It has been removed, or cannot be.
    }
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

/** Say in an error what was being done. */
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
