import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { text } from "../../channel.ts";
import { type Child, ConnectError, ExitError, spawn } from "../../pair.ts";
import { py, python } from "./python.ts";
import { holdTimers, replace } from "./replace.ts";
import { LONG, Stage, test } from "./stage.ts";

for (
  const [end, dies] of [
    ["Child.close()", (child: Child<unknown>) => child.close()],
    ["Child.kill()", (child: Child<unknown>) => child.kill()],
  ] as const
) {
  test(`${end} with detached ends the real program behind sh -c`, async () => {
    await using stage = await Stage.set();
    await using child = await spawn("sh", {
      args: ["-c", '"$@"; true', "sh", python, ...py("connect(); obey()")],
      ...stage,
      detached: true,
      gracePeriod: 100,
    });
    const puppet = await stage.puppet();
    assertNotEquals(puppet.pid, child.pid);
    await dies(child);
    await puppet.ended();
    assertEquals((await child.status).signal, "SIGTERM");
  });
}

const stubborn =
  "signal.signal(signal.SIGTERM, signal.SIG_IGN); connect(); obey()";

test("Child.close() with detached kills the real program that ignores SIGTERM behind sh -c", async () => {
  await using stage = await Stage.set();
  const child = await spawn("sh", {
    args: ["-c", '"$@"; true', "sh", python, ...py(stubborn)],
    ...stage,
    detached: true,
    gracePeriod: 100,
  });
  const puppet = await stage.puppet();
  // SIGTERM is the end of sh
  assertEquals((await child.close()).signal, "SIGTERM");
  await puppet.ended();
});

test("spawn() with detached leaves no process of the group behind when it rejects", async () => {
  await using stage = await Stage.set();
  const options = { ...stage, detached: true };
  const args = ["-c", '"$@"; true', "sh", python, ...py("obey()")];
  {
    const controller = new AbortController();
    const { signal } = controller;
    const failing = assertRejects(() =>
      spawn("sh", { args, ...options, signal })
    );
    const puppet = await stage.puppet();
    controller.abort();
    await failing;
    await puppet.ended();
  }
  {
    const connectTimeout = 12_345;
    using timers = holdTimers((delay) => delay === connectTimeout);
    const failing = assertRejects(
      () => spawn("sh", { args, ...options, connectTimeout }),
      ConnectError,
    );
    const puppet = await stage.puppet();
    await timers.ring();
    await failing;
    await puppet.ended();
  }
  {
    const inBackground = [
      "-c",
      '"$@" & read line < "$FIFO"',
      "sh",
      python,
      ...py("obey()"),
    ];
    const fifo = await stage.makeFifo();
    const failing = assertRejects(
      () => spawn("sh", { args: inBackground, ...options }),
      ConnectError,
    );
    const puppet = await stage.puppet();
    await Deno.writeTextFile(fifo, "\n");
    assertEquals((await failing).status?.code, 0);
    await puppet.ended();
  }
});

for (const transport of ["unix", "tcp", "stdio"] as const) {
  test(`Channel.closed with detached settles after a half-close when the child has exited (${transport})`, async () => {
    await using stage = await Stage.set();
    for (const code of [0, 3]) {
      await using child = await spawn(python, {
        args: py(
          `connect(); parent.shutdown(socket.SHUT_WR); receive(); os._exit(${code})`,
        ),
        ...stage,
        transport,
        detached: true,
      });
      assertEquals(await child.channel.receive(), null);
      const { closed } = child.channel;
      await child.channel.send(new Uint8Array(1));
      if (code === 0) await closed;
      else await assertRejects(() => closed, ExitError);
    }
  });
}

test("Channel.closed with detached settles even if messages are not received", async () => {
  await using stage = await Stage.set();
  for (const code of [0, 3]) {
    await using child = await spawn(python, {
      args: py(`connect(); send(b"taco cat"); os._exit(${code})`),
      ...stage,
      detached: true,
    });
    const { closed } = child.channel;
    if (code === 0) await closed;
    else await assertRejects(() => closed, ExitError);
    const message = await child.channel.receive();
    assertEquals(message, new TextEncoder().encode("taco cat"));
  }
});

for (const transport of ["unix", "tcp", "stdio"] as const) {
  for (const session of ["", "os.setsid(); "]) {
    const where = session === "" ? "its group" : "another session";

    test(`Channel with detached rejects with ExitError though a process in ${where} holds the connection (${transport})`, async () => {
      await using stage = await Stage.set();
      const child = await spawn(python, {
        args: py(`connect(); send(b"last words")
if os.fork() == 0:
    ${session}obey()
os._exit(42)`),
        ...stage,
        transport,
        detached: true,
        serialization: text(),
        gracePeriod: LONG,
      });
      const puppet = await stage.puppet();
      assertEquals(await child.channel.receive(), "last words");
      const error = await assertRejects(
        () => child.channel.receive(),
        ExitError,
      );
      assertEquals(error.status.code, 42);
      assertEquals(await puppet.run("answer = 1"), 1);
      // It would wait for LONG if it waited for the other session.
      assertEquals((await child.close()).code, 42);
      if (session !== "") await puppet.start("os._exit(0)");
      await puppet.ended();
    });
  }
}

test("Child with detached is never signaled again once its group was found to be empty", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const child = await spawn(python, {
    args: py("connect(); receive()"),
    ...stage,
    detached: true,
    gracePeriod: 0,
    signal: controller.signal,
  });
  await child.channel.closeWrite();
  await child.status;
  // From now on the number may belong to another group
  using _ = replace("kill", () => {
    throw new Error("It was signaled");
  });
  child.kill();
  child.kill("SIGKILL");
  controller.abort();
  await child.close();
});

test("Child with detached is never signaled again once another process has its number", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py("connect()\nif os.fork() == 0: obey()\nos._exit(0)"),
    ...stage,
    detached: true,
  });
  const puppet = await stage.puppet();
  await child.status;
  const { kill } = Deno;
  {
    // The system would let such a process exist only after the group has ended.
    using _ = replace("kill", (pid, signal) => {
      if (pid !== child.pid) throw new Error(`${signal} was sent to ${pid}`);
    });
    child.kill();
    await child.close();
  }
  kill(puppet.pid, "SIGKILL");
  await puppet.ended();
});

test("Child with detached is signaled while its group has a process", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, {
    args: py("connect()\nif os.fork() == 0: obey()\nos._exit(0)"),
    ...stage,
    detached: true,
  });
  const puppet = await stage.puppet();
  await child.status;
  child.kill();
  await puppet.ended();
});

test("Child.close() with detached kills what ignores SIGTERM in the group of a child that has exited", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py(
      "signal.signal(signal.SIGTERM, signal.SIG_IGN); connect()\nif os.fork() == 0: obey()\nos._exit(0)",
    ),
    ...stage,
    detached: true,
    gracePeriod: 100,
  });
  const puppet = await stage.puppet();
  await child.status;
  await child.close();
  await puppet.ended();
});
