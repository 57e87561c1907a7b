import { fileURLToPath } from "node:url";

/** A program that peers need: its command, or `null` where it is missing. */
export interface Program {
  command: string | null;
  ignore: boolean;
}

async function succeeds(
  command: string,
  options: Deno.CommandOptions,
): Promise<boolean> {
  try {
    const process = new Deno.Command(command, {
      stdin: "null",
      stdout: "null",
      stderr: "null",
      ...options,
    });
    return (await process.spawn().status).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Find the first command that works. Where none does, tests of it are ignored on a contributor's machine, while under
 * CI they run, and fail: no peer may drop out of the proof unseen.
 */
async function find(
  commands: string[],
  works: (command: string) => Promise<boolean>,
): Promise<Program> {
  for (const command of commands) {
    if (await works(command)) return { command, ignore: false };
  }
  return { command: null, ignore: Deno.env.get("CI") !== "true" };
}

/** What a test says whose program is not there, where it may not be ignored. */
export const missing =
  "Cannot run the peer: its program, or a package that it uses, is not installed";

export function findRuby(): Promise<Program> {
  return find(["ruby"], (ruby) => succeeds(ruby, { args: ["--version"] }));
}

/** A program that exists on Linux only. */
export async function findOnLinux(
  command: string,
  args = ["--version"],
): Promise<Program> {
  const found = await find([command], (command) => succeeds(command, { args }));
  return { ...found, ignore: found.ignore || Deno.build.os !== "linux" };
}

/**
 * The system's first: it starts faster than one that a version manager puts first in `PATH`, has the packages of the
 * system, and other users may run it too.
 */
const PYTHONS = ["/usr/bin/python3", "python3"];

export function findPython(): Promise<Program> {
  return find(
    PYTHONS,
    (python) => succeeds(python, { args: ["--version"] }),
  );
}

/** Find a Python that has Twisted. */
export function findTwisted(): Promise<Program> {
  return find(
    PYTHONS,
    (python) =>
      succeeds(python, { args: ["-c", "import twisted.protocols.basic"] }),
  );
}

export function findPerl(): Promise<Program> {
  return find(["perl"], (perl) => succeeds(perl, { args: ["--version"] }));
}

export function findGo(): Promise<Program> {
  return find(["go"], (go) => succeeds(go, { args: ["version"] }));
}

/** Find a Rust compiler. */
export function findRust(): Promise<Program> {
  return find(["rustc"], (rustc) => succeeds(rustc, { args: ["--version"] }));
}

export function findJq(): Promise<Program> {
  return find(["jq"], (jq) => succeeds(jq, { args: ["--version"] }));
}

/** Find a NATS server, which Debian puts beside the system's own. */
export function findNatsServer(): Promise<Program> {
  return find(
    ["nats-server", "/usr/sbin/nats-server"],
    (nats) => succeeds(nats, { args: ["--version"] }),
  );
}

/** Find an SSH server, which is not in the `PATH` of every user, beside the client. */
export function findSshd(): Promise<Program> {
  return find(["/usr/sbin/sshd", "/usr/local/sbin/sshd"], async (sshd) => {
    try {
      await Deno.stat(sshd);
    } catch {
      return false;
    }
    return await succeeds("ssh", { args: ["-V"] });
  });
}

/** Find a sudo that lets us be another user without a password. */
export function findSudo(): Promise<Program> {
  const args = ["--non-interactive", "--user=nobody", "true"];
  return find(["sudo"], (sudo) => succeeds(sudo, { args }));
}

/** Find Chromium, the one program that may be missing in CI as well (`tests/ok.ts`). */
export async function findChromium(): Promise<Program> {
  const { command } = await find(
    ["chromium", "chromium-browser", "google-chrome"],
    (chromium) => succeeds(chromium, { args: ["--version"] }),
  );
  return { command, ignore: command === null };
}

const NODE_PEERS = new URL("./peers/node/", import.meta.url);

/** A command of a package in `tests/peers/node`, which {@linkcode findNode} installs. */
export function packageCommand(name: string): URL {
  return new URL(`node_modules/.bin/${name}`, NODE_PEERS);
}

/** What a package there says of itself. */
export async function manifestOf(name: string): Promise<{ version: string }> {
  const url = new URL(`node_modules/${name}/package.json`, NODE_PEERS);
  return JSON.parse(await Deno.readTextFile(url));
}

/** Install what a lock file names. */
function install(cwd: URL): Promise<boolean> {
  return succeeds("npm", {
    cwd,
    args: [
      "ci",
      "--ignore-scripts",
      "--no-audit",
      "--prefer-offline",
      "--loglevel=error",
      // npm's own defaults let an unreachable registry hold up the tests for minutes
      "--fetch-retries=1",
      "--fetch-retry-mintimeout=1000",
      "--fetch-timeout=30000",
    ],
    stderr: "inherit",
  });
}

/** Find Node, and install the packages that its peers use unless they are there. */
export function findNode(): Promise<Program> {
  const cwd = NODE_PEERS;
  // Where Node is missing, Deno puts itself in `PATH` under its name
  const isNode = "process.exit(process.versions.deno ? 1 : 0)";
  return find(["node"], async (node) => {
    if (!await succeeds(node, { args: ["-e", isNode] })) return false;
    // Needs no network, and fails when a package is missing or of another version
    if (await succeeds("npm", { cwd, args: ["ls"] })) return true;
    return await install(cwd);
  });
}

const RUNTIMES = new URL("./peers/runtimes/", import.meta.url);

/** Find the Node or Bun of `tests/peers/runtimes`, and install it unless it is there; else one that is as new. */
export async function findRuntime(name: "node" | "bun"): Promise<Program> {
  const { os, arch } = Deno.build;
  const isArm = arch === "aarch64";
  const path = name === "node"
    ? `node-${os}-${isArm ? "arm64" : "x64"}/bin/node`
    : `@oven/bun-${os}-${isArm ? arch : "x64"}/bin/bun`;
  const command = fileURLToPath(new URL(`node_modules/${path}`, RUNTIMES));
  const isNew = name === "node"
    ? "process.exit(parseInt(process.versions.node) >= 24 && !process.versions.deno ? 0 : 1)"
    : 'process.exit(process.versions.bun >= "1.4" ? 0 : 1)';
  const works = (command: string) => succeeds(command, { args: ["-e", isNew] });
  if (!await works(command)) await install(RUNTIMES);
  return await find([command, name], works);
}

/**
 * Find out whether `deno compile` has the runtime that it makes programs of: it is downloaded from dl.deno.land, which not
 * every machine can reach (`tests/ok.ts`).
 */
export async function findCompiler(): Promise<Program> {
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/empty.ts`, "");
  const canCompile = await succeeds(Deno.execPath(), {
    cwd: directory,
    args: ["compile", "--output=empty", "empty.ts"],
    signal: AbortSignal.timeout(120_000),
  });
  await Deno.remove(directory, { recursive: true });
  return { command: Deno.execPath(), ignore: !canCompile };
}

export function findNpm(): Promise<Program> {
  return find(["npm"], (npm) => succeeds(npm, { args: ["--version"] }));
}
