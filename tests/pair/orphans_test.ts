import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "@std/assert";
import { text } from "../../channel.ts";
import { spawn } from "../../pair.ts";
import { modules, parents, runParent } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { Stage, test } from "./stage.ts";

test("spawn() in a parent that is killed: the child's receive() ends", async () => {
  const commands = [
    [
      python,
      ...py(`
connect()
print("connected", flush=True)
try:
    print(receive())
except ConnectionResetError:
    print("ConnectionReset")
`),
    ],
    [
      Deno.execPath(),
      "run",
      "-A",
      fileURLToPath(new URL("last_words.ts", modules)),
    ],
  ];
  for (const command of commands) {
    const program = fileURLToPath(new URL("waiting.ts", parents));
    // It may be killed before it has removed the directory of its socket
    const directory = await Deno.makeTempDir();
    const parent = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", program, ...command],
      env: { TMPDIR: directory },
      stdin: "null",
      stdout: "piped",
    }).spawn();
    // The child holds it too: it ends when both have gone
    let output = "";
    for await (
      const chunk of parent.stdout.pipeThrough(new TextDecoderStream())
    ) {
      output += chunk;
      if (output === "connected\n") parent.kill("SIGKILL");
    }
    assertMatch(output, /^connected\n(None|null|ConnectionReset)\n$/);
    assertEquals((await parent.status).signal, "SIGKILL");
    await Deno.remove(directory, { recursive: true });
  }
});

test("spawnModule() in a parent that is killed: a child that has not connected ends", async () => {
  const directory = await Deno.makeTempDir();
  const code = `console.log(Deno.pid); setInterval(() => {}, 1e6);`;
  const program = fileURLToPath(new URL("start.ts", parents));
  const parent = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      program,
      `data:text/javascript,${encodeURIComponent(code)}`,
      "null",
      "inherit",
    ],
    env: { TMPDIR: directory, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  // The child holds it too: it ends when both have gone
  let output = "";
  for await (
    const chunk of parent.stdout.pipeThrough(new TextDecoderStream())
  ) {
    output += chunk;
    parent.kill("SIGKILL");
  }
  assertMatch(output, /^\d+\n$/);
  await parent.status;
  await Deno.remove(directory, { recursive: true });
});

for (const [how, expected] of Object.entries({ exit: 3, throw: 1, idle: 0 })) {
  for (const detached of ["", "detached"]) {
    // Deno ends without "unload" then, and kills what is not detached
    if (how === "throw" && detached) continue;
    test(
      `spawn() in a parent that ends kills the child (${how}, ${
        detached || "not detached"
      })`,
      async () => {
        const { code, stdout } = await runParent("ending.ts", [how, detached]);
        assertEquals(code, expected);
        const pid = Number(stdout);
        // A zombie remains until init has reaped it
        const stat = `/proc/${pid}/stat`;
        assertEquals(pid > 1, true);
        assertMatch(
          await Deno.readTextFile(stat).catch(() => "(sleep) Z"),
          /\(sleep\) [ZX]/,
        );
      },
      Deno.build.os !== "linux",
    );
  }
}

for (const transport of ["unix", "tcp"] as const) {
  test(`Child over ${transport} is not fooled by a grandchild that holds the socket open`, async () => {
    await using stage = await Stage.set();
    await using child = await spawn(python, {
      args: py(`
connect()
send(b"last words")
if os.fork() == 0:
    obey()
else:
    os._exit(6)
`),
      ...stage,
      transport,
      gracePeriod: 100,
      serialization: text(),
    });
    const puppet = await stage.puppet();
    assertEquals((await child.status).code, 6);
    assertEquals(await child.channel.receive(), "last words");
    const received = child.channel.receive();
    assertEquals((await child.close()).code, 6);
    assertEquals(await received, null);
    // Here its end is closed, though there it is not
    const refused = await puppet.run(`
answer = False
try:
    for n in range(1_000_000):
        parent.sendall(b"x")
except OSError:
    answer = True
`);
    assertEquals(refused, true);
    await puppet.start("os._exit(0)");
    await puppet.ended();
  });
}
