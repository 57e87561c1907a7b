import { assertEquals } from "@std/assert";
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
  "spawn() with uid and gid gives them the directory and the socket",
  async () => {
    await using stage = await Stage.set();
    await stage.open();
    const code = `
import json
path = os.environ["SOCKETPAIR_PATH"]
owners = [[s.st_uid, s.st_gid, s.st_mode & 0o777] for s in [os.stat(os.path.dirname(path)), os.stat(path)]]
connect()
send(json.dumps([os.getuid(), os.getgid(), owners[0], owners[1][:2]]).encode())
receive()
`;
    const { directory } = stage;
    for (
      const [options, uid, gid] of [
        [{ uid: NOBODY, gid: NOBODY }, NOBODY, NOBODY],
        [{ uid: NOBODY }, NOBODY, 0],
        [{ gid: NOBODY }, 0, NOBODY],
        [{}, 0, 0],
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
        [uid, gid, 0o700],
        [uid, gid],
      ]);
      assertEquals(await stage.entries(), []);
    }
  },
  !isRoot,
);
