import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { json, text } from "../../channel.ts";
import { spawn } from "../../pair.ts";
import { py, python } from "./python.ts";
import { replace } from "./replace.ts";
import { isRoot, NOBODY, Stage, test } from "./stage.ts";

test("spawn() passes args, cwd, env and stdio on", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(new URL(`file://${python}`), {
    args: py(`
connect()
send(os.getcwd().encode())
send(os.environ["TACO"].encode())
send(sys.stdin.readline().encode())
print("out")
print("err", file=sys.stderr)
`),
    ...stage,
    cwd: stage.directory,
    env: { ...stage.env, TACO: "cat", SOCKETPAIR_TOKEN: "ours" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    serialization: text(),
  });
  assertEquals(await child.channel.receive(), stage.directory);
  assertEquals(await child.channel.receive(), "cat");
  const writer = child.process.stdin.getWriter();
  await writer.write(new TextEncoder().encode("line\n"));
  await writer.close();
  assertEquals(await child.channel.receive(), "line\n");
  assertEquals(await child.process.stdout.text(), "out\n");
  assertEquals(await child.process.stderr.text(), "err\n");
});

test("spawn() lets the child write where its parent does, and read nothing", async () => {
  await using stage = await Stage.set();
  const seen: unknown[] = [];
  using _ = replace(
    "Command",
    class extends Deno.Command {
      constructor(command: string | URL, options: Deno.CommandOptions = {}) {
        super(command, options);
        const { stdin, stdout, stderr, clearEnv, detached } = options;
        seen.push({ stdin, stdout, stderr, clearEnv, detached });
      }
    },
  );
  await using _child = await spawn(python, { args: py("connect()"), ...stage });
  assertEquals(seen, [{
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
    clearEnv: false,
    detached: false,
  }]);
});

test("spawn() with clearEnv gives the child its two variables and no more", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, {
    args: py(
      "import json; names = sorted(os.environ); connect(); send(json.dumps(names).encode()); send(json.dumps([sys.stdin.read()]).encode())",
    ),
    directory: stage.directory,
    clearEnv: true,
    serialization: json<string[]>(),
  });
  const names = await child.channel.receive();
  assertEquals(
    names?.filter((name) => name !== "LC_CTYPE"),
    ["SOCKETPAIR_PATH", "SOCKETPAIR_TOKEN"],
  );
  // stdin is "null" by default
  assertEquals(await child.channel.receive(), [""]);
});

test(
  "spawn() with uid and gid gives them the socket, and never the directory",
  async () => {
    await using stage = await Stage.set();
    await stage.open();
    const code = `
import json
path = os.environ["SOCKETPAIR_PATH"]
directory = os.path.dirname(path)
owners = [[s.st_uid, s.st_gid, s.st_mode & 0o777] for s in [os.stat(directory), os.stat(path)]]
refused = []
for attack in [
    lambda: os.symlink("/etc/shadow", directory + "/d"),
    lambda: os.unlink(path),
    lambda: os.rename(path, directory + "/s2"),
    lambda: os.rename(directory, directory + "2"),
    lambda: os.listdir(directory),
]:
    try:
        attack()
    except PermissionError:
        refused.append(True)
connect()
send(json.dumps([os.getuid(), os.getgid(), *owners, len(refused)]).encode())
receive()
`;
    const { directory } = stage;
    for (
      const [options, uid, gid] of [
        [{ uid: NOBODY, gid: NOBODY }, NOBODY, NOBODY],
        [{ uid: NOBODY }, NOBODY, 0],
      ] as const
    ) {
      await using child = await spawn(python, {
        args: py(code),
        directory,
        // It may not be let into the checkout
        cwd: directory,
        ...options,
        serialization: json(),
      });
      assertEquals(await child.channel.receive(), [
        uid,
        gid,
        [0, 0, 0o711],
        [uid, gid, 0o600],
        5,
      ]);
      assertEquals(await stage.entries(), []);
    }
  },
  !isRoot,
);

test(
  "spawn() with gid alone gives it the socket",
  async () => {
    await using stage = await Stage.set();
    await using child = await spawn(python, {
      args: py(`
import json
status = os.stat(os.environ["SOCKETPAIR_PATH"])
connect()
send(json.dumps([os.getgid(), status.st_uid, status.st_gid, status.st_mode & 0o777]).encode())
receive()
`),
      directory: stage.directory,
      gid: NOBODY,
      serialization: json(),
    });
    assertEquals(await child.channel.receive(), [NOBODY, 0, NOBODY, 0o600]);
  },
  !isRoot,
);

test(
  "spawn() with uid refuses a directory in which others could replace what is there",
  async () => {
    await using stage = await Stage.set();
    await stage.open();
    const { directory } = stage;
    const inner = `${directory}/inner`;
    await Deno.mkdir(inner);
    const attempt = (options: { uid?: number; gid?: number }) =>
      spawn(python, {
        args: py("connect()"),
        cwd: directory,
        directory: inner,
        ...options,
      });
    try {
      for (
        const [path, mode, owner] of [
          [inner, 0o777, 0],
          [inner, 0o775, 0],
          [inner, 0o755, NOBODY],
          [inner, 0o1777, NOBODY],
          [directory, 0o777, 0],
          [directory, 0o755, NOBODY],
          [directory, 0o755, 1],
        ] as const
      ) {
        await Deno.chmod(path, mode);
        await Deno.chown(path, owner, 0);
        for (const options of [{ uid: NOBODY }, { gid: NOBODY }]) {
          const error = await assertRejects(
            () => attempt(options),
            Deno.errors.PermissionDenied,
          );
          assertStringIncludes(error.message, `"${path}"`);
          assertStringIncludes(error.message, "could replace what is there");
        }
        assertEquals(await Array.fromAsync(Deno.readDir(inner)), []);
        await Deno.chmod(path, 0o755);
        await Deno.chown(path, 0, 0);
      }
      // Sticky: only who has made a thing may replace it
      await Deno.chmod(inner, 0o1777);
      await using _ = await attempt({ uid: NOBODY });
    } finally {
      await Deno.remove(inner);
    }
  },
  !isRoot,
);
