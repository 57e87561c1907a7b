import { assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { ConnectError, spawn } from "../../pair.ts";
import { parents } from "./fixtures.ts";
import { assertNoLeak, openDescriptors } from "../leaks.ts";
import { py, python } from "./python.ts";
import { Stage, test } from "./stage.ts";

const everyPipe = {
  stdin: "piped",
  stdout: "piped",
  stderr: "piped",
} as const;

test("Child.close() empties output that nobody reads, so that the child does not stall", async () => {
  await using stage = await Stage.set();
  for (const name of ["stdout", "stderr"] as const) {
    const child = await spawn(python, {
      args: py(
        `connect(); receive(); sys.${name}.write("x" * 1_000_000); sys.exit(7)`,
      ),
      ...stage,
      [name]: "piped",
      gracePeriod: 2 ** 30,
    });
    assertEquals((await child.close()).code, 7);
    assertEquals(await child.process[name].text(), "");
  }
});

test("Child.close() closes piped input that nobody has locked", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py("connect(); sys.exit(len(sys.stdin.read()))"),
    ...stage,
    stdin: "piped",
    gracePeriod: 2 ** 30,
  });
  const writer = child.process.stdin.getWriter();
  await writer.write(new Uint8Array(5).fill(32));
  writer.releaseLock();
  assertEquals((await child.close()).code, 5);
});

test("Child.close() leaves pipes to those who use them", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py("connect(); receive(); print(sys.stdin.read(), end='')"),
    ...stage,
    ...everyPipe,
    gracePeriod: 2 ** 30,
  });
  const { stdin, stdout } = child.process;
  const text = stdout.text();
  const writer = stdin.getWriter();
  const closing = child.close();
  await writer.write(new TextEncoder().encode("taco cat"));
  await writer.close();
  assertEquals(await text, "taco cat");
  assertEquals((await closing).code, 0);
});

test("Child.close() is not held up by a grandchild that holds the output", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py("connect()\nif os.fork() == 0: obey()\nelse: os._exit(0)"),
    ...stage,
    ...everyPipe,
    gracePeriod: 2 ** 30,
  });
  await stage.puppet();
  assertEquals((await child.close()).code, 0);
});

test(
  "Child.close() leaves no descriptor open, whatever was done with the pipes",
  async () => {
    await using stage = await Stage.set();
    const before = openDescriptors();
    for (let n = 0; n < 20; n++) {
      const child = await spawn(python, {
        args: py("connect(); print('x' * 10_000); receive()"),
        ...stage,
        ...everyPipe,
        transport: n % 2 === 0 ? "unix" : "tcp",
      });
      if (n % 5 === 1) await child.process.stdin.close();
      if (n % 5 === 2) await child.process.stdout.cancel();
      if (n % 5 === 3) child.channel.abort();
      assertEquals((await child.close()).signal, null);
    }
    await assertNoLeak(before);
  },
  Deno.build.os !== "linux",
);

test("spawn() that rejects leaves no descriptor of a pipe open", async () => {
  await using stage = await Stage.set();
  const before = openDescriptors();
  for (const args of [["-c", "exit 1"], ["-c", "yes"]]) {
    await assertRejects(
      () => spawn("sh", { args, ...stage, ...everyPipe, connectTimeout: 200 }),
      ConnectError,
    );
  }
  await assertNoLeak(before);
}, Deno.build.os !== "linux");

for (const transport of ["unix", "tcp", "stdio"]) {
  test(`Child over ${transport} works where SIGCHLD is ignored, and nothing is an unhandled rejection`, async () => {
    const program = fileURLToPath(new URL("ignoring.ts", parents));
    const deno = [Deno.execPath(), "run", "-A", program, transport];
    const all = ["exchange", "crash", "nothing", "signal"];
    if (transport !== "stdio") all.push("module");
    if (transport === "unix") all.push("descriptors");
    for (const what of all) {
      // A sh may not ignore it. And a module is kept from descriptor 3 by a shell
      const script = `trap '' CHLD; exec "$@" 3</dev/null`;
      const { stdout, stderr } = await new Deno.Command("bash", {
        args: ["-c", script, "bash", ...deno, what, python],
        stdin: "null",
      }).output();
      const decoder = new TextDecoder();
      assertEquals(
        [what, decoder.decode(stderr), decoder.decode(stdout)],
        [what, "", "end\n"],
      );
    }
  });
}
