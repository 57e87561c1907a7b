import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { type Child, ExitError, spawn } from "../../pair.ts";
import { modules } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { holdTimers } from "./replace.ts";
import { LONG, Stage, test } from "./stage.ts";

/** No other timer has it. */
const GRACE_PERIOD = 12_345;

test("Child.close() ends a child that reads to the end, and gives its status", async () => {
  await using stage = await Stage.set();
  for (const code of [0, 7]) {
    const child = await spawn(python, {
      args: py(`connect(); echo(); sys.exit(${code})`),
      ...stage,
      gracePeriod: LONG,
    });
    const closing = child.close();
    assertStrictEquals(child.close(), closing);
    assertEquals(await closing, { success: code === 0, code, signal: null });
    assertEquals(await child.status, await closing);
    await child.channel.closed;
    child.kill("SIGKILL");
    await assertRejects(() => child.channel.send(new Uint8Array()), TypeError);
    assertEquals(await child.channel.receive(), null);
    assertEquals(await child.close(), await closing);
  }
});

test("Child.close() drains: a child whose replies nobody read exits with 0", async () => {
  await using stage = await Stage.set();
  for (
    const [command, ...args] of [
      [python, ...py("connect(); echo()")],
      [
        Deno.execPath(),
        "run",
        "-A",
        fileURLToPath(new URL("echo.ts", modules)),
      ],
    ] as const
  ) {
    const child = await spawn(command, { args, ...stage, gracePeriod: LONG });
    const { channel } = child;
    const message = new Uint8Array(100_000);
    // 40 MB there and 40 MB back: far more than all queues hold
    for (let n = 0; n < 4; n++) void channel.send(message);
    assertEquals(await channel.receive(), message);
    for (let n = 0; n < 400; n++) void channel.send(message);
    assertEquals(await child.close(), { success: true, code: 0, signal: null });
  }
});

test("Child.close() sends all that is queued", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py(`
connect()
count = 0
while (message := receive()) is not None:
    count += len(message)
sys.exit(count == 20_000_000)
`),
    ...stage,
    gracePeriod: LONG,
  });
  for (let n = 0; n < 20; n++) void child.channel.send(new Uint8Array(1e6));
  assertEquals((await child.close()).code, 1);
});

for (const queued of [0, 20_000_000]) {
  const nobody = `a child that does not read ${queued} bytes`;

  test(`Child.close() sends SIGTERM to ${nobody}`, async () => {
    await using stage = await Stage.set();
    for (const gracePeriod of [0, 100]) {
      const child = await spawn(python, {
        args: py("connect(); obey()"),
        ...stage,
        gracePeriod,
      });
      const puppet = await stage.puppet();
      if (queued) void child.channel.send(new Uint8Array(queued));
      const closing = child.close();
      await puppet.ended();
      const { signal } = await closing;
      assertEquals(signal, gracePeriod === 0 ? signal : "SIGTERM");
    }
  });

  test(`Child.close() sends SIGKILL to ${nobody} and ignores SIGTERM`, async () => {
    await using stage = await Stage.set();
    using timers = holdTimers((delay) => delay === GRACE_PERIOD);
    const child = await spawn(python, {
      args: py(`
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
told = []
connect()
obey()
`),
      ...stage,
      gracePeriod: GRACE_PERIOD,
    });
    const puppet = await stage.puppet();
    if (queued) void child.channel.send(new Uint8Array(queued));
    const closing = child.close();
    await timers.ring();
    assertEquals(
      await puppet.run("while not told: pause()\nanswer = told"),
      [true],
    );
    await timers.ring();
    assertEquals((await closing).signal, "SIGKILL");
    await puppet.ended();
  });
}

test("Child.close() gives the status of a child that ends in order on SIGTERM", async () => {
  await using stage = await Stage.set();
  using timers = holdTimers((delay) => delay === GRACE_PERIOD);
  const child = await spawn(python, {
    args: py(
      "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); connect(); pause()",
    ),
    ...stage,
    gracePeriod: GRACE_PERIOD,
  });
  const closing = child.close();
  await timers.ring();
  assertEquals((await closing).code, 5);
});

test("Child.close() ends a child that sends for ever", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py("connect()\nwhile True: send(b'x' * 1000)"),
    ...stage,
    gracePeriod: 100,
  });
  await child.channel.receive();
  assertEquals((await child.close()).signal, "SIGTERM");
});

test("Child.close() gives the status of a child that has left by itself", async () => {
  await using stage = await Stage.set();
  for (const reads of [false, true]) {
    const child = await spawn(python, {
      args: py("connect(); send(b'taco cat'); sys.exit(4)"),
      ...stage,
    });
    if (reads) await child.channel.receive();
    assertEquals((await child.status).code, 4);
    assertEquals((await child.close()).code, 4);
  }
});

test("Child.close() works on a channel that has been closed, aborted or has failed", async () => {
  await using stage = await Stage.set();
  for (
    const end of [
      ({ channel }: Child<Uint8Array>) => channel.close(),
      ({ channel }: Child<Uint8Array>) => channel.abort(),
      ({ channel }: Child<Uint8Array>) => channel.closeWrite(),
      ({ channel }: Child<Uint8Array>) => channel.readable.cancel(),
      ({ channel }: Child<Uint8Array>) =>
        assertRejects(async () => {
          await channel.send(new Uint8Array([0xff]));
          await channel.receive();
        }),
    ]
  ) {
    await using child = await spawn(python, {
      // What it sends back is no frame
      args: py("connect(); parent.sendall(b'\\xff' * 4); echo()"),
      ...stage,
      gracePeriod: LONG,
    });
    await end(child);
    assertEquals((await child.close()).signal, null);
  }
});

test("Child.kill() sends a signal, SIGTERM by default, and nothing to a child that has exited", async () => {
  await using stage = await Stage.set();
  for (const signal of [undefined, "SIGINT", "SIGKILL"] as const) {
    const args = py(
      "signal.signal(signal.SIGINT, signal.SIG_DFL); connect(); send(b'here'); receive()",
    );
    const child = await spawn(python, { args, ...stage });
    assertEquals(child.pid, child.process.pid);
    await child.channel.receive();
    child.kill(signal);
    assertEquals((await child.status).signal, signal ?? "SIGTERM");
    child.kill(signal);
    assertEquals((await child.close()).signal, signal ?? "SIGTERM");
  }
});

test("Child[Symbol.asyncDispose]() ends the child on every way out of the block", async () => {
  await using stage = await Stage.set();
  const children: Child<Uint8Array>[] = [];
  async function begin(code = "connect(); echo()") {
    const child = await spawn(python, { args: py(code), ...stage });
    children.push(child);
    return child;
  }
  {
    await using _ = await begin();
  }
  for (const _n of [1, 2]) {
    await using _ = await begin();
    if (_n === 1) continue;
    break;
  }
  await (async () => {
    await using _ = await begin();
    return;
  })();
  for (const code of ["connect(); echo()", "connect()"]) {
    const thrown = new Error("thrown");
    const caught = await assertRejects(async () => {
      await using _ = await begin(code);
      throw thrown;
    });
    assertStrictEquals(caught, thrown);
  }
  const failed = await assertRejects(async () => {
    await using child = await begin("connect(); receive(); sys.exit(1)");
    await child.channel.send(new Uint8Array());
    while (true) await child.channel.send(new Uint8Array(1000));
  });
  // Its own class, and no SuppressedError around it
  assertInstanceOf(failed, ExitError);
  assert(
    failed.cause instanceof Deno.errors.BrokenPipe ||
      failed.cause instanceof Deno.errors.ConnectionReset,
  );
  {
    await using child = await begin();
    await child.close();
  }
  assertEquals(children.length, 8);
  for (const { channel, status } of children) {
    assertEquals((await status).signal, null);
    assertEquals(await channel.receive().catch(() => null), null);
  }
});

test("Child.close() rejects when the child may not be killed, and nothing is thrown where nobody can catch it", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const { signal } = controller;
  const child = await spawn(python, {
    args: py("connect(); obey()"),
    ...stage,
    gracePeriod: 50,
    signal,
  });
  const puppet = await stage.puppet();
  const uncaught: unknown[] = [];
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    uncaught.push(event.error);
  };
  globalThis.addEventListener("error", onError);
  // As for a child that is root's: sudo
  const refusal = new Deno.errors.PermissionDenied("Operation not permitted");
  const { promise: refused, resolve } = Promise.withResolvers<void>();
  child.process.kill = (name) => {
    if (name === "SIGKILL") resolve();
    throw refusal;
  };
  controller.abort();
  const closing = child.close().catch((error) => error);
  await Promise.race([closing, refused]);
  await puppet.start("sys.exit(3)");
  assertStrictEquals(await closing, refusal);
  // It would hide the error that ends the block
  await child[Symbol.asyncDispose]();
  assertEquals((await child.status).code, 3);
  globalThis.removeEventListener("error", onError);
  assertEquals(uncaught, []);
});

test("Child.close() waits as long as gracePeriod says, up to the longest delay of a timer", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py("connect(); receive(); obey()"),
    ...stage,
    gracePeriod: LONG,
  });
  const closing = child.close();
  const puppet = await stage.puppet();
  await puppet.start("sys.exit(3)");
  assertEquals((await closing).code, 3);
});

test("Child names await using where it is used with using", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, { args: py("connect()"), ...stage });
  assertThrows(
    () => Reflect.get(child, Symbol.dispose),
    TypeError,
    'use "await using"',
  );
});
