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

export function findRuby(): Promise<Program> {
  return find(["ruby"], (ruby) => succeeds(ruby, { args: ["--version"] }));
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

/** Find Node, and install the packages that its peers use unless they are there. */
export function findNode(): Promise<Program> {
  const cwd = new URL("./peers/node/", import.meta.url);
  // Where Node is missing, Deno puts itself in `PATH` under its name
  const isNode = "process.exit(process.versions.deno ? 1 : 0)";
  return find(["node"], async (node) => {
    if (!await succeeds(node, { args: ["-e", isNode] })) return false;
    // Needs no network, and fails when a package is missing or of another version
    if (await succeeds("npm", { cwd, args: ["ls"] })) return true;
    return await succeeds("npm", {
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
  });
}
