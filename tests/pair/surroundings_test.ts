import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { spawn } from "../../pair.ts";
import { modules, parents, runParent } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { Stage, test } from "./stage.ts";

/** A child of spawnWithDescriptors(). */
const BOTH = `
connect()
descriptors = socket.socket(socket.AF_UNIX)
descriptors.connect(os.environ["SOCKETPAIR_DESCRIPTORS_PATH"])
descriptors.sendall(token())
`;

function program(name: string): string {
  return fileURLToPath(new URL(name, parents));
}

for (
  const [kind, ...command] of [
    ["socketPair"],
    ["spawn", python, ...py("connect()")],
    ["stdio", "cat"],
    ["spawnModule", fileURLToPath(new URL("echo.ts", modules))],
    ["spawnWithDescriptors", python, ...py(BOTH)],
  ]
) {
  const name = kind === "stdio" ? "spawn() over stdio" : `${kind}()`;
  test(`${name} leaves nothing where no descriptor is free, and says that none is`, async () => {
    await using stage = await Stage.set();
    const args = [program("crowded.ts"), kind ?? "", stage.directory];
    const { success, stdout, stderr } = await new Deno.Command("sh", {
      args: [
        "-c",
        'ulimit -n 64; exec "$@"',
        "sh",
        Deno.execPath(),
        "run",
        "-A",
        ...args,
        ...command,
      ],
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    const outcomes: string[] = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals(outcomes.pop(), "");
    assert(outcomes.length > 0);
    for (const outcome of outcomes) {
      assertMatch(outcome, /Too many open files/);
      assert(!/remove/.test(outcome), outcome);
    }
    assertEquals(await stage.entries(), []);
  });
}

const endings = { handles: "exits", ignorant: "dies", throws: "throws" };

for (
  const [kind, signal, left] of [
    ["handles", "SIGTERM", 0],
    ["ignorant", "SIGTERM", 1],
    ["ignorant", "SIGKILL", 1],
    // Deno does not dispatch "unload" then
    ["throws", "SIGTERM", 1],
  ] as const
) {
  const rest = left === 0 ? "nothing" : "a harmless directory";
  test(`spawn() leaves ${rest} in a parent that ${endings[kind]} on ${signal} while it waits`, async () => {
    await using stage = await Stage.set();
    const { directory, env } = stage;
    const parent = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        program("leaving.ts"),
        kind,
        directory,
        python,
        ...py("obey()"),
      ],
      env,
      stdin: "null",
      stderr: "null",
    }).spawn();
    const puppet = await stage.puppet();
    parent.kill(signal);
    const status = await parent.status;
    assertEquals(status.code === 7, kind === "handles");
    const entries = await stage.entries();
    assertEquals(entries.length, left);
    // It is killed if the parent exits, or an error ends it
    if (kind === "ignorant") await puppet.start("sys.exit()");
    await puppet.ended();

    {
      const args = py("connect()");
      await using _ = await spawn(python, { args, directory });
    }
    assertEquals(await stage.entries(), entries);
    for (const name of entries) {
      await Deno.remove(`${directory}/${name}`, { recursive: true });
    }
  });
}

/** Runs a program between two parts of a script, and returns the lines that they print. `$parent` is an empty directory. */
async function inShell(
  before: string,
  name: string,
  after = "",
  flags = ["-A"],
  args: string[] = [],
): Promise<string[]> {
  const script = `${before}; "$0" run "$@"; ${after}`;
  const parent = await Deno.makeTempDir();
  const { stdout } = await new Deno.Command("bash", {
    args: ["-c", script, Deno.execPath(), ...flags, program(name), ...args],
    env: { parent },
  }).output();
  await Deno.remove(parent, { recursive: true });
  return new TextDecoder().decode(stdout).trim().split("\n");
}

test("spawn(), spawnModule() and socketPair() use /tmp if TMPDIR is not UTF-8", async () => {
  const lines = await inShell(
    `export TMPDIR="$parent"/$'\\xff'; mkdir "$TMPDIR"`,
    "displaced.ts",
    `rmdir "$TMPDIR" && echo empty`,
  );
  const [spawned = "", module, pair, left] = lines;
  // It is started, and is no child of ours.
  assertMatch(spawned, /^ConnectError: Cannot start true /);
  assertEquals([module, pair, left], ["none", "none", "empty"]);
});

/** No right to read the environment. */
const blind = [
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  "--allow-net",
  "--allow-run",
];

test("spawn() without the permission to read TMPDIR says that it is not UTF-8 or missing", async () => {
  const [unnamed = ""] = await inShell(
    `export TMPDIR="$parent"/$'\\xff'; mkdir "$TMPDIR"`,
    "displaced.ts",
    "",
    blind,
  );
  assertMatch(
    unnamed,
    /^InvalidData: Cannot make socket in the temporary directory: .*: set TMPDIR, or the option directory, /,
  );

  const [missing = ""] = await inShell(
    "export TMPDIR=/no/such/directory",
    "displaced.ts",
    "",
    blind,
  );
  assertMatch(
    missing,
    /^NotFound: Cannot make socket in the temporary directory: .*: set TMPDIR, or the option directory, /,
  );
});

test("spawnModule() says what to set where the temporary directory has a comma", async () => {
  const module = fileURLToPath(new URL("echo.ts", modules));
  const [line = ""] = await inShell(
    `export TMPDIR="$parent"/a,b; mkdir "$TMPDIR"`,
    "start.ts",
    `rmdir "$TMPDIR"`,
    ["-A"],
    [module],
  );
  assertMatch(
    line,
    /^Cannot grant net access to "unix:.*a,b.*": a flag of deno cannot express a comma: set TMPDIR, or the option directory, /,
  );
});

test("spawn() and spawnModule() say that the current directory is gone, and what to set", async () => {
  const directory = await Deno.makeTempDir();
  const { stdout, stderr } = await runParent("displaced.ts", [directory]);
  const [ofSpawn, ofModule, ofSocketPair] = stdout.split("\n");
  assertMatch(
    ofSpawn ?? "",
    /^NotFound: .*: the current directory no longer exists: set the option cwd$/,
    stderr,
  );
  assertMatch(
    ofModule ?? "",
    /^NotFound: Cannot resolve path "echo\.ts" against the current directory, which is gone .*: use an absolute path/,
  );
  assertEquals(ofSocketPair, "none");
});

test(
  "spawn() says what to set where the temporary directory cannot be written to",
  async () => {
    const [error = ""] = await inShell(
      "export TMPDIR=/proc/self/fdinfo",
      "displaced.ts",
    );
    assertStringIncludes(error, `in directory "/proc/self/fdinfo": `);
    assertMatch(error, /: set TMPDIR, or the option directory, to one where /);
  },
  Deno.build.os !== "linux",
);
