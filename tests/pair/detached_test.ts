import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { type Child, ConnectError, ExitError, spawn } from "../../pair.ts";
import { py, python } from "./python.ts";
import { holdTimers } from "./replace.ts";
import { Stage, test } from "./stage.ts";

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
  test(`Channel.closed with detached settles when nobody of the group is left (${transport})`, async () => {
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

// Elsewhere the system does not tell that nobody is left.
if (Deno.build.os === "linux") {
  test("Channel.closed with detached does not wait for what nobody receives", async () => {
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
      // It can be received still
      const message = await child.channel.receive();
      assertEquals(message, new TextEncoder().encode("taco cat"));
    }
  });
}

test("Channel.closed with detached waits for one of the group who has closed its side only", async () => {
  await using stage = await Stage.set();
  const code = `connect(); parent.shutdown(socket.SHUT_WR)
if os.fork():
    os._exit(0)
obey()`;
  await using child = await spawn(python, {
    args: py(code),
    ...stage,
    detached: true,
  });
  assertEquals(await child.channel.receive(), null);
  assertEquals((await child.status).code, 0);
  let isClosed = false;
  child.channel.closed.then(() => isClosed = true);
  await child.channel.send(new TextEncoder().encode("taco cat"));
  const puppet = await stage.puppet();
  assertEquals(await puppet.run("answer = receive().decode()"), "taco cat");
  assertEquals(isClosed, false);
});
