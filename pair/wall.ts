/** The second wall: a module behind `bwrap`, where nothing exists but what it was granted. */

import { constants } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { NOWHERE } from "./deno_dir.ts";
import {
  type Address,
  CONNECTION_VARIABLES,
  environment,
  isHeld,
  messageOf,
} from "./environment.ts";
import { outputOf } from "./output.ts";
import { absolutePath, isAbsence, isInside } from "./paths.ts";
import type { Grants } from "./permissions.ts";

/** Own namespaces, no further ones, no capabilities, and an end with the parent. */
const UNSHARE =
  "--unshare-all --unshare-user --disable-userns --die-with-parent --new-session --cap-drop ALL"
    .split(" ");

/** File systems of its own, and no settings of the system to write. */
const OWN = "--proc /proc --remount-ro /proc --dev /dev".split(" ");

/** Memory of the child's own, in bytes: its cache, and temporary files. */
const MEMORY = "/dev/shm";
const MEMORY_SIZE = 64 * 1024 * 1024;
const CACHE = `${MEMORY}/deno`;

const UNIX = "unix:";

/** Whether the child has files of its own there, which a grant doesn't replace. */
function isOwn(path: string): boolean {
  return isInside(path, "/proc") ||
    isInside(path, "/dev") && !path.startsWith(`${MEMORY}/`);
}

/** What name resolution and TLS need; no private keys. */
const NETWORK = [
  "/etc/resolv.conf",
  "/etc/hosts",
  "/etc/nsswitch.conf",
  "/etc/ssl/certs",
  "/etc/pki/tls/certs",
  "/etc/pki/ca-trust",
  "/etc/ca-certificates",
  "/usr/share/ca-certificates",
];

export interface WallOptions {
  readonly files: readonly string[];
  readonly grants: Grants;
  readonly cwd: string | URL | undefined;
  /** The parent's cache, and the names in it that are there, too. */
  readonly cache: string | undefined;
  readonly cached: readonly string[];
}

interface Wall {
  readonly program: string;
  /** Deno and the libraries that it loads. */
  readonly libraries: readonly string[];
}

/**
 * The arguments of `bwrap`, once the address of the socket is known; those of `deno` follow.
 *
 * @throws {Deno.errors.NotFound} If a path to write to is not there.
 * @throws {Deno.errors.NotCapable} If a path leads through a link that the module might move.
 */
export async function makeWall(
  { files, grants, cwd = ".", cache, cached }: WallOptions,
): Promise<(address?: Address) => string[]> {
  const { libraries } = await findWall();
  const directory = absolutePath(cwd instanceof URL ? fileURLToPath(cwd) : cwd);
  const pathsOf = (grant: true | string[] = []) =>
    grant === true ? ["/"] : grant;
  const hosts = grants.net === true ? [""] : grants.net ?? [];
  const sockets = hosts.filter((host) => host.startsWith(UNIX));
  const writable = pathsOf(grants.write);
  const links = cache === undefined ? [] : cached;
  const places = [
    ...files,
    ...sockets.map((host) => host.slice(UNIX.length)),
    ...pathsOf(grants.read),
    ...links.map((name) => `${cache}/${name}`),
  ];
  for (const path of new Set([...places, ...writable])) {
    requirePlace(path, writable);
  }
  const hasNetwork = hosts.length > sockets.length;
  const readable = [...libraries, ...hasNetwork ? NETWORK : [], ...places];
  const granted = new Set([...readable, ...writable]);
  // A path in another one is there with it, but one to write to only in another one to write to.
  const isCovered = (path: string) =>
    [...writable.includes(path) ? writable : granted].some((other) =>
      other !== path && isInside(path, other) && !isOwn(other) &&
      !(other === "/" && path.startsWith(`${MEMORY}/`))
    );
  const binds = [...granted]
    .filter((path) => !isOwn(path) && !isCovered(path))
    .toSorted((a, b) => a.length - b.length)
    .map((path) => {
      const how = writable.includes(path) ? "--bind" : "--ro-bind-try";
      return [how, path, path];
    });
  const words = [
    ...UNSHARE,
    ...hasNetwork ? ["--share-net"] : [],
    ...binds.filter(([, path]) => path === "/").flat(),
    ...OWN,
    ...["--size", String(MEMORY_SIZE), "--tmpfs", MEMORY],
    ...binds.filter(([, path]) => path !== "/").flat(),
    ...["--dir", CACHE],
    // Links, so that what lies where the module may write is resolved behind the wall.
    ...links.flatMap((name) => symlink(name, `${cache}/${name}`)),
    ...links.includes("npm") ? [] : symlink("npm", NOWHERE),
    ...["--setenv", "TMPDIR", MEMORY],
    ...["--setenv", "DENO_DIR", CACHE],
    ...["--dir", directory],
    ...["--chdir", directory],
  ];
  return (address) => [
    ...words,
    ...address && "path" in address ? bindDirectory(address.path) : [],
    ...["--remount-ro", "/dev"],
    ...writable.includes("/") ? [] : ["--remount-ro", "/"],
    ...["--", Deno.execPath()],
  ];
}

function symlink(name: string, target: string): string[] {
  return ["--symlink", target, `${CACHE}/${name}`];
}

function bindDirectory(path: string): string[] {
  return ["--ro-bind", dirname(path), dirname(path)];
}

/**
 * `bwrap` follows links before the wall is there. A module that may write could make one in an
 * earlier start, so it gets real paths only.
 */
function requirePlace(path: string, writable: readonly string[]): void {
  if (writable.some((other) => other !== path && isInside(path, other))) return;
  let real = path;
  try {
    real = Deno.realPathSync(path);
  } catch (error) {
    if (!isAbsence(error)) throw error;
    if (!writable.includes(path)) return;
    throw new Deno.errors.NotFound(
      `Cannot grant write access to "${path}" behind the wall: it does not exist, and only what exists can be there`,
      { cause: error },
    );
  }
  if (real === path || writable.length === 0) return;
  throw new Deno.errors.NotCapable(
    `Cannot put "${path}" behind the wall: it leads through a symbolic link, which a module that may write could change: use "${real}"`,
  );
}

let wall: Promise<Wall> | undefined;

/**
 * Find a `bwrap` that works.
 *
 * @throws {Deno.errors.NotSupported} If there is none, or it can make no namespaces.
 */
export function findWall(): Promise<Wall> {
  wall ??= tryWall();
  // What is missing today can be installed before the next start.
  wall.catch(() => wall = undefined);
  return wall;
}

async function tryWall(): Promise<Wall> {
  const deno = Deno.execPath();
  if (Deno.build.os !== "linux") {
    throw notSupported("bubblewrap exists on Linux only");
  }
  const args = [
    ...UNSHARE,
    ...["--ro-bind", "/", "/"],
    ...OWN,
    ...["--setenv", "LD_TRACE_LOADED_OBJECTS", "1"],
    ...["--", deno, "--version"],
  ];
  // A relative path would be another program where the current directory is another.
  const directories = (environment("PATH") ?? "/usr/bin:/bin").split(":")
    .filter((directory) => directory.startsWith("/"));
  for (const directory of directories) {
    const program = `${directory}/bwrap`;
    const output = await outputOf(program, { args }).catch((error) => {
      if (!isAbsence(error)) throw error;
      return undefined;
    });
    if (output === undefined) continue;
    const { success, stdout, stderr } = output;
    // Each line is "name => path (address)" or "path (address)".
    const paths = Array.from(
      stdout.matchAll(/(\/\S+) \(0x[0-9a-f]+\)$/gm),
      ([, path = ""]) => path,
    );
    if (success && paths.length > 0) {
      return { program, libraries: [deno, ...paths] };
    }
    throw notSupported(
      `bwrap is older than 0.8, or the system does not let it make namespaces: ${stderr.trim()}`,
    );
  }
  throw notSupported("there is no program bwrap: install bubblewrap");
}

function notSupported(why: string): Error {
  return new Deno.errors.NotSupported(`Cannot use wall: "bubblewrap": ${why}`);
}

/**
 * Sends a signal to the grandchild of a process: `bwrap` has one process of its own inside. `read`
 * fails, because there is no newline at the end, and sets the variable.
 */
const KILL = `
read -r child _ <"/proc/$1/task/$1/children"
read -r child _ <"/proc/$child/task/$child/children"
kill "-$2" "$child"
`;

/**
 * Have a process behind the wall take signals and end as if there were no wall: by itself `bwrap`
 * dies of a signal, with all that is inside, and reports a child's as an exit code.
 */
export function seeThrough(process: Deno.ChildProcess): Deno.ChildProcess {
  const { status } = process;
  const kill = process.kill.bind(process);
  return Object.defineProperties(process, {
    kill: {
      value(signal: Deno.Signal = "SIGTERM") {
        if (signal === "SIGKILL" || !forward(process.pid, signal)) kill(signal);
      },
    },
    status: { value: status.then(withSignal) },
  });
}

function forward(pid: number, signal: Deno.Signal): boolean {
  const numbers: Record<string, number> = constants.signals;
  const number = numbers[signal];
  if (number === undefined) return false;
  const command = new Deno.Command("/bin/sh", {
    // A shell may not know the name.
    args: ["-c", KILL, "sh", String(pid), String(number)],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  try {
    return command.outputSync().success;
  } catch (error) {
    // ECHILD: SIGCHLD is ignored, and its status unknown.
    return /\(os error 10\)/.test(messageOf(error));
  }
}

function withSignal(status: Deno.CommandStatus): Deno.CommandStatus {
  const [signal] = Object.entries(constants.signals)
    .find(([, number]) => number === status.code - 128) ?? [];
  return signal === undefined || status.signal !== null
    ? status
    : { ...status, signal: signal as Deno.Signal };
}

const VISIBLE = ["PATH", "NO_COLOR", "DENO_TLS_CA_STORE"];

/**
 * The variables of this process that are behind the wall, as far as this process may read them.
 *
 * @param granted Names, not patterns.
 */
export function visible(
  granted: true | string[] = [],
): Record<string, string> {
  const names = granted !== true
    ? [...VISIBLE, ...granted]
    : isHeld({ name: "env" })
    ? Object.keys(Deno.env.toObject())
    : VISIBLE;
  return Object.fromEntries(names.flatMap((name) => {
    const value = environment(name);
    // Those of the parent's own connection are not the module's.
    const isTaken = CONNECTION_VARIABLES.some((own) => own === name);
    return value === undefined || isTaken ? [] : [[name, value]];
  }));
}
