/**
 * The second wall: a module behind `bwrap`, where nothing exists but what it was granted.
 *
 * @module
 */

import { constants } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Address } from "./environment.ts";
import { isInside } from "./links.ts";
import { absolutePath, type Grants } from "./permissions.ts";

/** Namespaces of its own, no capabilities, and an end with the parent's. */
const UNSHARE = [
  "--unshare-all",
  "--die-with-parent",
  "--new-session",
  "--cap-drop",
  "ALL",
];

/** Memory of the child's own: its cache, and temporary files. */
const MEMORY = "/dev/shm";
const CACHE = `${MEMORY}/deno`;

/** What name resolution and TLS need. */
const NETWORK = [
  "/etc/resolv.conf",
  "/etc/hosts",
  "/etc/nsswitch.conf",
  "/etc/ssl",
  "/etc/pki",
  "/etc/ca-certificates",
  "/usr/share/ca-certificates",
];

/** What is to be there behind the wall. */
export interface WallOptions {
  /** Files to read: code and configuration. */
  readonly files: readonly string[];
  readonly grants: Grants;
  readonly cwd: string | URL | undefined;
  /** The parent's cache, and the names in it that are to be there. */
  readonly cache: string | undefined;
  readonly cached: readonly string[];
  /** Whether the child is another user. */
  readonly isForeign: boolean;
}

/** The program that is the wall. */
export const WALL = "bwrap";

/**
 * The arguments of `bwrap`, once the address of the socket is known; `deno` follows.
 *
 * @throws {Deno.errors.NotSupported} Where there is no `bwrap`, or no namespace can be made.
 * @throws {Deno.errors.NotFound} If a path to write to is not there.
 */
export async function makeWall(
  { files, grants, cwd = ".", cache, cached, isForeign }: WallOptions,
): Promise<(address?: Address) => string[]> {
  const libraries = await findLibraries();
  const directory = absolutePath(cwd instanceof URL ? fileURLToPath(cwd) : cwd);
  const net = grants.net ?? [];
  const hosts = net === true || net.some((host) => !host.startsWith("unix:"));
  const sockets = net === true ? [] : net
    .filter((host) => host.startsWith("unix:"))
    .map((host) => host.slice("unix:".length));
  const writable = grants.write === true ? ["/"] : grants.write ?? [];
  for (const path of writable) await requirePath(path);
  const readable = [
    ...libraries,
    ...hosts ? NETWORK : [],
    ...files,
    ...sockets,
    ...grants.read === true ? ["/"] : grants.read ?? [],
  ];
  const granted = [...readable, ...writable];
  const binds = [
    ...readable.map((path) => ["--ro-bind-try", path] as const),
    ...writable.map((path) => ["--bind", path] as const),
  ].filter(([how, path]) =>
    how === "--bind" ||
    !granted.some((other) => other !== path && isInside(path, other)) &&
      !writable.includes(path)
  ).toSorted(([, a], [, b]) => a.length - b.length)
    .flatMap(([how, path]) => [how, path, path]);
  const links = cached.map((name) => [`${cache}/${name}`, `${CACHE}/${name}`])
    .filter(([path = ""]) => cache !== undefined && isOpen(path, isForeign));
  const words = [
    ...UNSHARE,
    ...hosts ? ["--share-net"] : [],
    ...binds,
    ...["--proc", "/proc"],
    ...["--dev", "/dev"],
    ...["--dir", CACHE],
    ...links.flatMap((link) => ["--ro-bind-try", ...link]),
    ...["--setenv", "TMPDIR", MEMORY],
    ...["--setenv", "DENO_DIR", CACHE],
    ...["--dir", directory],
    ...["--chdir", directory],
  ];
  return (address) => {
    const socket = address !== undefined && "path" in address
      ? dirname(address.path)
      : undefined;
    return [
      ...words,
      ...socket === undefined ? [] : ["--ro-bind", socket, socket],
      "--remount-ro",
      "/",
      "--",
    ];
  };
}

/** Whether a path can be reached: `bwrap` fails for another user who may not. */
function isOpen(path: string, isForeign: boolean): boolean {
  if (!isForeign) return true;
  try {
    for (let place = path; place !== "/"; place = dirname(place)) {
      if (!((Deno.statSync(place).mode ?? 0) & 0o001)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function requirePath(path: string): Promise<void> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return;
    throw new Deno.errors.NotFound(
      `Cannot grant write access to "${path}" behind the wall: it does not exist, and only what exists can be there`,
      { cause: error },
    );
  }
}

let libraries: Promise<string[]> | undefined;

/** Deno and the libraries that it loads; tries on the way whether `bwrap` works. */
function findLibraries(): Promise<string[]> {
  libraries ??= tryWall();
  // What is missing today can be installed before the next start.
  libraries.catch(() => libraries = undefined);
  return libraries;
}

async function tryWall(): Promise<string[]> {
  const deno = Deno.execPath();
  if (Deno.build.os !== "linux") {
    throw notSupported("bubblewrap exists on Linux only");
  }
  const command = new Deno.Command(WALL, {
    args: [
      ...UNSHARE,
      ...["--ro-bind", "/", "/"],
      ...["--proc", "/proc"],
      ...["--dev", "/dev"],
      ...["--setenv", "LD_TRACE_LOADED_OBJECTS", "1"],
      ...["--", deno, "--version"],
    ],
    stdin: "null",
  });
  let output;
  try {
    output = await command.output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw notSupported("there is no program bwrap: install bubblewrap", error);
  }
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!output.success) {
    throw notSupported(
      `the system does not let bwrap make namespaces: ${
        text(output.stderr).trim()
      }`,
    );
  }
  // Each line is "name => path (address)" or "path (address)".
  const paths = text(output.stdout).matchAll(/(\/\S+) \(0x[0-9a-f]+\)$/gm);
  return [deno, ...Array.from(paths, ([, path = ""]) => path)];
}

function notSupported(why: string, cause?: unknown): Error {
  return new Deno.errors.NotSupported(
    `Cannot use wall: "bubblewrap": ${why}`,
    { cause },
  );
}

/** Sends a signal to the grandchild of a process: `bwrap` has one process of its own inside. */
const KILL = `
p=$1
for _ in 1 2; do
  # There is no newline at the end.
  read -r child _ <"/proc/$p/task/$p/children"
  p=$child
done
[ -n "$p" ] && kill -s "$2" "$p"
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
  const { success } = new Deno.Command("sh", {
    args: ["-c", KILL, "sh", String(pid), signal.slice("SIG".length)],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).outputSync();
  return success;
}

function withSignal(status: Deno.CommandStatus): Deno.CommandStatus {
  const [signal] = Object.entries(constants.signals)
    .find(([, number]) => number === status.code - 128) ?? [];
  return signal === undefined || status.signal !== null
    ? status
    : { ...status, signal: signal as Deno.Signal };
}
