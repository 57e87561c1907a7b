import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { type Channel, text } from "../../channel.ts";
import { ConnectError, ExitError, spawn } from "../../pair.ts";
import { py, python } from "./python.ts";
import { holdTimers, noProcess } from "./replace.ts";
import { Stage, test } from "./stage.ts";

test("spawn() with a signal that has been aborted starts no process", async () => {
  await using stage = await Stage.set();
  using _ = noProcess();
  const reason = new Error("not wanted");
  const signal = AbortSignal.abort(reason);
  const error = await assertRejects(() => spawn("true", { ...stage, signal }));
  assertStrictEquals(error, reason);
});

test("spawn() rejects with the reason of a signal aborted while the child has not connected, and kills it", async () => {
  await using stage = await Stage.set();
  const reason = new Error("no longer wanted");
  for (const transport of ["unix", "tcp"] as const) {
    const controller = new AbortController();
    const { signal } = controller;
    const failing = assertRejects(() =>
      spawn(python, {
        args: py("signal.signal(signal.SIGTERM, signal.SIG_IGN); obey()"),
        ...stage,
        signal,
        transport,
      })
    );
    const puppet = await stage.puppet();
    controller.abort(reason);
    assertStrictEquals(await failing, reason);
    await puppet.ended();
  }
});

test("spawn() rejects with the reason of a signal aborted before the process was started", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("no longer wanted");
  const failing = assertRejects(() =>
    spawn(python, { args: py("connect(); echo()"), ...stage, signal })
  );
  controller.abort(reason);
  assertStrictEquals(await failing, reason);
});

test("spawn() sends SIGTERM when its signal is aborted later", async () => {
  await using stage = await Stage.set();
  for (const detached of [false, true]) {
    const controller = new AbortController();
    const { signal } = controller;
    await using child = await spawn(python, {
      args: py("connect(); obey()"),
      ...stage,
      signal,
      detached,
    });
    const puppet = await stage.puppet();
    controller.abort();
    assertEquals((await child.status).signal, "SIGTERM");
    await puppet.ended();
  }
});

test("spawn() with a signal: its reason in place of the end, after what the child still says", async () => {
  await using stage = await Stage.set();
  const reason = new Error("no longer wanted");
  for (const transport of ["unix", "tcp", "stdio"] as const) {
    for (
      const hear of [
        (channel: Channel<string>) => channel.receive(),
        (channel: Channel<string>) => Array.fromAsync(channel),
        (channel: Channel<string>) =>
          channel.readable.pipeTo(new WritableStream()),
        (channel: Channel<string>) => channel.closed,
      ]
    ) {
      const controller = new AbortController();
      const { signal } = controller;
      const child = await spawn(python, {
        args: py(`
def end(*_):
    send(b"last words")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
connect()
send(b"here")
pause()
`),
        ...stage,
        signal,
        transport,
        serialization: text(),
      });
      const { channel } = child;
      assertEquals(await channel.receive(), "here");
      controller.abort(reason);
      assertEquals(await channel.receive(), "last words");
      assertStrictEquals(await hear(channel).catch((e) => e), reason);
      assertStrictEquals(await channel.closed.catch((e) => e), reason);
      assertEquals((await child.close()).code, 0);
    }
  }
});

test("spawn() with a signal kills a child that ignores SIGTERM after gracePeriod, though nobody calls close()", async () => {
  await using stage = await Stage.set();
  const gracePeriod = 12_345;
  using timers = holdTimers((delay) => delay === gracePeriod);
  const controller = new AbortController();
  const { signal } = controller;
  const child = await spawn(python, {
    args: py(
      "signal.signal(signal.SIGTERM, lambda *_: send(b'no')); connect(); send(b'here'); obey()",
    ),
    ...stage,
    signal,
    gracePeriod,
    serialization: text(),
  });
  const puppet = await stage.puppet();
  assertEquals(await child.channel.receive(), "here");
  controller.abort();
  assertEquals(await child.channel.receive(), "no");
  await timers.ring();
  const error = await assertRejects(() => child.channel.receive());
  assertStrictEquals(error, signal.reason);
  assertEquals((await child.status).signal, "SIGKILL");
  await puppet.ended();
});

test("spawn() with a signal of a child that has half-closed gives the reason in place of the end", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const { signal } = controller;
  await using child = await spawn(python, {
    args: py(
      "signal.signal(signal.SIGTERM, lambda *_: parent.shutdown(socket.SHUT_WR)); connect(); send(b'here'); obey()",
    ),
    ...stage,
    signal,
    gracePeriod: 200,
  });
  await stage.puppet();
  await child.channel.receive();
  controller.abort();
  assertStrictEquals(
    await child.channel.receive().catch((error) => error),
    signal.reason,
  );
});

test("spawn() with a signal that is aborted after a crash leaves the ExitError", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const { signal } = controller;
  const child = await spawn(python, {
    args: py("connect(); sys.exit(3)"),
    ...stage,
    signal,
  });
  await child.status;
  controller.abort();
  await assertRejects(() => child.channel.receive(), ExitError);
  await child.close();
});

test("spawn() loses no abort of the moment in which the child comes in", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const { signal } = controller;
  // Aborts as soon as spawn() looks away
  let watched = false;
  const remove = signal.removeEventListener;
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    remove.apply(signal, args);
    if (!watched) controller.abort(new Error("no longer wanted"));
    watched = true;
  };
  const spawning = spawn(python, {
    args: py("connect(); obey()"),
    ...stage,
    signal,
  });
  const ended = await spawning.then(
    async (child) => {
      const { signal } = await child.status;
      await child.close();
      return signal;
    },
    (error) => error.message,
  );
  assert(ended === "SIGTERM" || ended === "no longer wanted");
});

test("spawn() takes its listeners off the signal when the child has ended", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (
    ...args: Parameters<typeof addEventListener>
  ) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (
    ...args: Parameters<typeof removeEventListener>
  ) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const child = await spawn(python, {
    args: py("connect()"),
    ...stage,
    signal,
  });
  await child.close();
  await assertRejects(
    () => spawn("false", { ...stage, signal }),
    ConnectError,
  );
  assertEquals(listeners, 0);
  controller.abort();
});
