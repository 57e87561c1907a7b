import { fileURLToPath } from "node:url";

const { os, arch } = Deno.build;
const isArm = arch === "aarch64";

/** A program that tests need: its command, or `null` if it is missing. */
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

const isContinuous = Deno.env.get("CI") === "true";

/** Names the missing programs for the last test file. All test files run in one process. */
const MISSING = "TESTS_MISSING_PROGRAMS";

/** The beginning of the line that says why tests were ignored. */
export const IGNORED = "Tests were ignored because these programs are missing";

/** Lists the programs that test files have looked for and not found. */
export function missingPrograms(): string[] {
  return Deno.env.get(MISSING)?.split(",") ?? [];
}

/**
 * Finds the first command that works. If none does, a contributor's tests of it are ignored and `tests/z_ignored_test.ts`
 * says why. In CI these tests run and fail, because no peer may go untested unnoticed.
 */
async function find(
  commands: string[],
  works: (command: string) => Promise<boolean>,
  name = commands[0] ?? "",
): Promise<Program> {
  for (const command of commands) {
    if (await works(command)) return { command, ignore: false };
  }
  if (!isContinuous) report(name);
  return { command: null, ignore: !isContinuous };
}

function report(name: string) {
  const names = new Set(missingPrograms()).add(name);
  Deno.env.set(MISSING, [...names].join(","));
}

/** The message of a test that may not be ignored and whose program is missing. */
export const missing =
  "Cannot run the peer: its program, or a package that it uses, is not installed";

/** Finds a program that runs with these arguments. */
export function findProgram(
  name: string,
  ...args: string[]
): Promise<Program> {
  return find([name], (command) => succeeds(command, { args }));
}

export const findRuby = () => findProgram("ruby", "--version");
export const findPerl = () => findProgram("perl", "--version");
export const findGo = () => findProgram("go", "version");
export const findRust = () => findProgram("rustc", "--version");
export const findJq = () => findProgram("jq", "--version");
export const findNpm = () => findProgram("npm", "--version");

/** Finds a program that exists on Linux only. */
export async function findOnLinux(
  name: string,
  args = ["--version"],
): Promise<Program> {
  if (os !== "linux") return { command: null, ignore: true };
  return await findProgram(name, ...args);
}

/**
 * The system's Python comes first: it starts faster than one of a version manager, has the packages of the system, and
 * other users can run it too.
 */
const PYTHONS = ["/usr/bin/python3", "python3"];

export function findPython(): Promise<Program> {
  return find(
    PYTHONS,
    (python) => succeeds(python, { args: ["--version"] }),
    "python3",
  );
}

/** Finds a Python that has Twisted. */
export function findTwisted(): Promise<Program> {
  return find(
    PYTHONS,
    (python) =>
      succeeds(python, { args: ["-c", "import twisted.protocols.basic"] }),
    "twisted of python3",
  );
}

/** Finds a Python that has the JSON-RPC library of a language server. */
export function findPylsp(): Promise<Program> {
  return find(
    PYTHONS,
    (python) => succeeds(python, { args: ["-c", "import pylsp_jsonrpc"] }),
    "pylsp_jsonrpc of python3",
  );
}

/** Finds a NATS server. Debian's is not in the `PATH` of every user. */
export function findNatsServer(): Promise<Program> {
  return find(
    ["nats-server", "/usr/sbin/nats-server"],
    (nats) => succeeds(nats, { args: ["--version"] }),
  );
}

/** Finds an SSH server, which is not in the `PATH` of every user, and the client. */
export function findSshd(): Promise<Program> {
  return find(["/usr/sbin/sshd", "/usr/local/sbin/sshd"], async (sshd) => {
    try {
      await Deno.stat(sshd);
    } catch {
      return false;
    }
    return await succeeds("ssh", { args: ["-V"] });
  }, "sshd");
}

/** Finds a sudo that lets us be another user without a password. */
export const findSudo = () =>
  findProgram("sudo", "--non-interactive", "--user=nobody", "true");

/** Finds Chromium, which may be missing in CI too (`tests/ok.ts`). */
export async function findChromium(): Promise<Program> {
  const { command } = await find(
    ["chromium", "chromium-browser", "google-chrome"],
    (chromium) => succeeds(chromium, { args: ["--version"] }),
  );
  return { command, ignore: command === null };
}

const NODE_PEERS = new URL("./peers/node/", import.meta.url);

/** Returns a command of a package in `tests/peers/node`, which {@linkcode findNode} installs. */
export function packageCommand(name: string): URL {
  return new URL(`node_modules/.bin/${name}`, NODE_PEERS);
}

/** Reads the `package.json` of a package there. */
export async function manifestOf(name: string): Promise<{ version: string }> {
  const url = new URL(`node_modules/${name}/package.json`, NODE_PEERS);
  return JSON.parse(await Deno.readTextFile(url));
}

interface Lock {
  packages: Record<string, { version?: string; optional?: boolean }>;
}

async function readLock(path: string, directory: URL): Promise<Lock> {
  return JSON.parse(await Deno.readTextFile(new URL(path, directory)));
}

/** Compares what npm has installed in a directory with its lock file. `npm ls` does the same in a second. */
async function isInstalled(directory: URL): Promise<boolean> {
  try {
    const wanted = await readLock("package-lock.json", directory);
    const found = await readLock("node_modules/.package-lock.json", directory);
    return Object.entries(wanted.packages).every(
      ([path, { version, optional }]) =>
        path === "" || optional || found.packages[path]?.version === version,
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Installs the packages that the lock file in a directory names. */
function install(cwd: URL): Promise<boolean> {
  return succeeds("npm", {
    cwd,
    args: [
      "ci",
      "--ignore-scripts",
      "--no-audit",
      "--prefer-offline",
      "--loglevel=error",
      // By default, an unreachable registry delays the tests for minutes
      "--fetch-retries=1",
      "--fetch-retry-mintimeout=1000",
      "--fetch-timeout=30000",
    ],
    stderr: "inherit",
  });
}

/** Finds Node, and installs the packages that its peers use unless they are there. */
export function findNode(): Promise<Program> {
  // If Node is missing, Deno puts itself in `PATH` under its name
  const isNode = "process.exit(process.versions.deno ? 1 : 0)";
  return find(
    ["node"],
    async (node) =>
      await succeeds(node, { args: ["-e", isNode] }) &&
      (await isInstalled(NODE_PEERS) || await install(NODE_PEERS)),
  );
}

const RUNTIMES = new URL("./peers/runtimes/", import.meta.url);

interface Runtime {
  /** Its file in a package of `tests/peers/runtimes`. */
  path: string;
  /** Exits with 0 in this runtime if it is new enough. */
  check: string;
  /** Whether the one in `PATH` will do where npm has no package. Otherwise it is tested on Linux with x86-64 only. */
  isAnyNewer: boolean;
}

const runtimes: Record<"bun" | "node" | "node22" | "deno2.5", Runtime> = {
  bun: {
    path: `@oven/bun-${os}-${isArm ? arch : "x64"}/bin/bun`,
    check: 'process.exit(process.versions.bun >= "1.4" ? 0 : 1)',
    isAnyNewer: true,
  },
  node: {
    path: `node-${os}-${isArm ? "arm64" : "x64"}/bin/node`,
    check:
      "process.exit(parseInt(process.versions.node) >= 24 && !process.versions.deno ? 0 : 1)",
    isAnyNewer: true,
  },
  node22: {
    path: "node-22-linux-x64/bin/node",
    check: "process.exit(parseInt(process.versions.node) === 22 ? 0 : 1)",
    isAnyNewer: false,
  },
  "deno2.5": {
    path: "deno-2.5-linux-x64/deno",
    check: 'Deno.exit(Deno.version.deno.startsWith("2.5.") ? 0 : 1)',
    isAnyNewer: false,
  },
};

/** The cache of another version of Deno: two versions would clear each other's. */
export const OTHER_DENO_DIR: string = fileURLToPath(
  new URL("node_modules/.deno", RUNTIMES),
);

/** Finds a runtime of `tests/peers/runtimes`, and installs it unless it is there. */
export async function findRuntime(
  name: keyof typeof runtimes,
): Promise<Program> {
  const { path, check, isAnyNewer } = runtimes[name];
  const args = name === "deno2.5" ? ["eval", check] : ["-e", check];
  const works = (command: string) =>
    succeeds(command, { args, env: { DENO_DIR: OTHER_DENO_DIR } });
  const command = fileURLToPath(new URL(`node_modules/${path}`, RUNTIMES));
  if (!await works(command)) {
    await install(RUNTIMES);
    // npm does not make the file of this package executable
    if (name === "deno2.5") await makeExecutable(command);
  }
  if (!isAnyNewer && (os !== "linux" || isArm)) {
    return { command: null, ignore: true };
  }
  return await find(isAnyNewer ? [command, name] : [command], works, name);
}

async function makeExecutable(path: string) {
  try {
    await Deno.chmod(path, 0o755);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Finds out whether `deno compile` works: it downloads a runtime from dl.deno.land, which some machines can't reach
 * (`tests/ok.ts`).
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
  if (!canCompile) report("the runtime of deno compile");
  return { command: Deno.execPath(), ignore: !canCompile };
}
