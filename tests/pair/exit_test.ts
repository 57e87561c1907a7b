import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { text } from "../../channel.ts";
import {
  type Child,
  ExitError,
  spawn,
  spawnModule,
  type SpawnOptions,
} from "../../pair.ts";
import { ExitError as ExitErrorOfMod } from "../../mod.ts";
import { modules } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { Stage, test } from "./stage.ts";
import { findRuby } from "../programs.ts";

const ruby = await findRuby();

type Options = Pick<SpawnOptions, "transport">;
const TEXT = { serialization: text() };

/** The ways in which a child can be connected. */
const ways: readonly Options[] = [
  { transport: "unix" },
  { transport: "tcp" },
  { transport: "stdio" },
];

/** The ways to hear how a channel ends, after one message. */
const hearings: Record<string, (child: Child<string>) => Promise<unknown>> = {
  "receive()": async ({ channel }) => {
    assertEquals(await channel.receive(), "last words");
    return await channel.receive();
  },
  "iteration": async ({ channel }) => {
    const received = [];
    try {
      for await (const message of channel) received.push(message);
    } finally {
      assertEquals(received, ["last words"]);
    }
    return null;
  },
  "readable": async ({ channel }) => {
    const received: string[] = [];
    try {
      await channel.readable.pipeTo(
        new WritableStream({ write: (message) => void received.push(message) }),
      );
    } finally {
      assertEquals(received, ["last words"]);
    }
    return null;
  },
  "receiveInto()": async ({ channel }) => {
    const view = await channel.receiveInto(new Uint8Array(10));
    assertEquals(new TextDecoder().decode(view ?? undefined), "last words");
    return await channel.receiveInto(new Uint8Array(10));
  },
  "closed": async ({ channel }) => {
    const { closed } = channel;
    assertEquals(await channel.receive(), "last words");
    await closed;
    return null;
  },
};

for (const options of ways) {
  const over = `over ${options.transport}`;

  for (const [name, hear] of Object.entries(hearings)) {
    test(`Channel.${name} to a child that crashes gives what has arrived, and then ExitError (${over})`, async () => {
      await using stage = await Stage.set();
      for (
        const [end, how, status] of [
          ["sys.exit(3)", "exited with code 3", { code: 3, signal: null }],
          [
            "os.kill(os.getpid(), signal.SIGKILL)",
            "was killed by SIGKILL",
            { code: 137, signal: "SIGKILL" },
          ],
        ] as const
      ) {
        await using child = await spawn(python, {
          args: py(`connect(); send(b"last words"); ${end}`),
          ...stage,
          ...options,
          ...TEXT,
        });
        const error = await assertRejects(() => hear(child), ExitError);
        assertEquals(error.message, `Child ${child.pid} (python3) ${how}`);
        assertEquals(error.status, { success: false, ...status });
        assertEquals(error.pid, child.pid);
        assertEquals(error.name, "ExitError");
        assertStrictEquals(
          await child.channel.closed.catch((error) => error),
          error,
        );
        await assertRejects(() => child.channel.receive(), ExitError);
      }
    });
  }

  test(`Channel.receive() gives null when a child exits with code 0 (${over})`, async () => {
    await using stage = await Stage.set();
    await using child = await spawn(python, {
      args: py(`connect(); send(b"last words")`),
      ...stage,
      ...options,
      ...TEXT,
    });
    assertEquals(await child.channel.receive(), "last words");
    assertEquals(await child.channel.receive(), null);
    // Both directions have ended: there is nobody left
    await child.channel.closed;
    await child.channel.closeWrite();
    await child.channel.close();
  });

  // A pipe does not tell what of it was not read
  if (options.transport !== "stdio") {
    test(
      `ExitError has what the system said as its cause (${over})`,
      async () => {
        await using stage = await Stage.set();
        await using child = await spawn(python, {
          args: py(`connect(); obey()`),
          ...stage,
          ...options,
          ...TEXT,
        });
        const puppet = await stage.puppet();
        // Not read: the system then resets the connection
        await child.channel.send("for nobody");
        const received = child.channel.receive();
        await puppet.start("os._exit(5)");
        const error = await assertRejects(() => received, ExitError);
        assertInstanceOf(error.cause, Deno.errors.ConnectionReset);
        assertEquals(error.status.code, 5);
      },
    );
  }

  test(`Channel.send() to a child that has crashed rejects with ExitError (${over})`, async () => {
    await using stage = await Stage.set();
    await using child = await spawn(python, {
      args: py(`connect(); receive(); sys.exit(1)`),
      ...stage,
      ...options,
    });
    const error = await assertRejects(async () => {
      while (true) await child.channel.send(new Uint8Array(1000));
    }, ExitError);
    assert(
      error.cause instanceof Deno.errors.BrokenPipe ||
        error.cause instanceof Deno.errors.ConnectionReset,
    );
    assertStrictEquals(await child.channel.closed.catch((e) => e), error);
  });

  test(`Child that was asked to end gives no ExitError (${over})`, async () => {
    await using stage = await Stage.set();
    const handler =
      "signal.signal(signal.SIGINT, lambda *_: sys.exit(9)); connect(); send(b'here'); pause()";
    for (
      const ask of [
        (child: Child<string>) => child.kill("SIGKILL"),
        (child: Child<string>) => child.kill("SIGUSR1"),
        (child: Child<string>) => child.kill("SIGINT"),
        (child: Child<string>) => void child.close(),
      ]
    ) {
      const child = await spawn(python, {
        args: py(handler),
        ...stage,
        ...options,
        ...TEXT,
        gracePeriod: 100,
      });
      assertEquals(await child.channel.receive(), "here");
      const { closed } = child.channel;
      ask(child);
      assertEquals(await child.channel.receive(), null);
      assertEquals((await child.status).success, false);
      await child.close();
      await closed;
    }
  });

  test(`Child that crashes after a signal that asks for no end gives ExitError (${over})`, async () => {
    await using stage = await Stage.set();
    await using child = await spawn(python, {
      args: py(
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(9)); connect(); send(b'here'); pause()",
      ),
      ...stage,
      ...options,
      ...TEXT,
    });
    assertEquals(await child.channel.receive(), "here");
    child.kill("SIGUSR1");
    await assertRejects(() => child.channel.receive(), ExitError, "code 9");
  });

  test(`Channel.abort() is not replaced by ExitError (${over})`, async () => {
    await using stage = await Stage.set();
    await using child = await spawn(python, {
      args: py("connect(); receive(); sys.exit(1)"),
      ...stage,
      ...options,
    });
    const reason = new Error("no longer wanted");
    const received = child.channel.receive();
    child.channel.abort(reason);
    assertStrictEquals(await received.catch((error) => error), reason);
    await child.status;
    assertStrictEquals(await child.channel.closed.catch((e) => e), reason);
  });
}

test("Channel.receive() gives null when a child half-closes and works on", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, {
    args: py("connect(); parent.shutdown(socket.SHUT_WR); obey()"),
    ...stage,
    ...TEXT,
  });
  const puppet = await stage.puppet();
  assertEquals(await child.channel.receive(), null);
  await child.channel.send("taco cat");
  assertEquals(await puppet.run("answer = receive().decode()"), "taco cat");
  // receive() has given null already; closed still reports it
  const { closed } = child.channel;
  await puppet.start("os._exit(2)");
  await assertRejects(() => closed, ExitError, "exited with code 2");
});

test("Channel.receive() gives null when a child half-closes while a large message waits for it", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, {
    args: py("connect(); parent.shutdown(socket.SHUT_WR); obey()"),
    ...stage,
    gracePeriod: 100,
  });
  const puppet = await stage.puppet();
  const sent = child.channel.send(new Uint8Array(3_000_000));
  assertEquals(await child.channel.receive(), null);
  assertEquals(await puppet.run("answer = len(receive())"), 3_000_000);
  await sent;
});

test("Channel.receive() gives null when a child half-closes while many messages go to it", async () => {
  await using stage = await Stage.set();
  await using child = await spawn(python, {
    args: py(`
connect()
obey()
`),
    ...stage,
    gracePeriod: 2 ** 30,
  });
  const puppet = await stage.puppet();
  let isOver = false;
  const sending = (async () => {
    while (!isOver) await child.channel.send(new Uint8Array(100_000));
    await child.channel.closeWrite();
  })();
  await puppet.start(`
parent.shutdown(socket.SHUT_WR)
while receive() is not None: pass
`);
  assertEquals(await child.channel.receive(), null);
  isOver = true;
  await sending;
  await puppet.start("sys.exit()");
  assertEquals((await child.close()).code, 0);
});

test("Channel.receive() waits for the exit no longer than a second", async () => {
  await using stage = await Stage.set();
  for (const options of ways) {
    await using child = await spawn(python, {
      args: py("connect(); parent.close(); obey()"),
      ...stage,
      ...options,
      gracePeriod: 100,
    });
    await stage.puppet();
    assertEquals(await child.channel.receive(), null);
  }
});

test("Channel.closed of a child that has exited does not wait for what nobody receives", async () => {
  await using stage = await Stage.set();
  for (const code of [0, 3]) {
    await using child = await spawn(python, {
      args: py(
        `connect(); send(b"one"); send(b"two"); send(b"three"); os._exit(${code})`,
      ),
      ...stage,
      ...TEXT,
    });
    assertEquals(await child.channel.receive(), "one");
    const { closed } = child.channel;
    const failure = await closed.catch((error) => error);
    assertEquals(failure instanceof ExitError, code !== 0);
    // It can be received still
    assertEquals(await child.channel.receive(), "two");
    assertEquals(await child.channel.receive(), "three");
    if (code === 0) assertEquals(await child.channel.receive(), null);
    else await assertRejects(() => child.channel.receive(), ExitError);
  }
});

test("ExitError names the module, and is the same class everywhere", async () => {
  assertStrictEquals(ExitErrorOfMod, ExitError);
  const child = await spawnModule(new URL("crash.ts", modules), TEXT);
  assertEquals(await child.channel.receive(), "last words");
  const error = await assertRejects(() => child.channel.receive(), ExitError);
  assertEquals(
    error.message,
    `Child ${child.pid} (module crash.ts) exited with code 1`,
  );
  assertEquals((await child.close()).code, 1);
});

test("ExitError comes of a child in Deno that dies of an error that nobody catches", async () => {
  // Deno shuts down the sending side before it closes the socket, so a look at once says
  // that the child lives.
  await Promise.all(Array.from({ length: 8 }, async () => {
    const child = await spawnModule(new URL("throw.ts", modules), {
      stderr: "null",
      ...TEXT,
    });
    assertEquals(await child.channel.receive(), "last words");
    await assertRejects(() => child.channel.receive(), ExitError);
    await child.close();
  }));
});

test("ExitError comes of a child in Ruby", async () => {
  assert(ruby.command);
  const program = `
require "socket"
UNIXSocket.open(ENV["SOCKETPAIR_PATH"]) do |socket|
  socket.write ENV["SOCKETPAIR_TOKEN"], ["last words".bytesize].pack("I"), "last words"
end
raise "an error"
`;
  await using child = await spawn(ruby.command, {
    args: ["-e", program],
    stderr: "null",
    ...TEXT,
  });
  assertEquals(await child.channel.receive(), "last words");
  const error = await assertRejects(() => child.channel.receive(), ExitError);
  assertEquals(error.message, `Child ${child.pid} (ruby) exited with code 1`);
}, ruby.ignore);

test("Child.close() leaves a crash that nobody has heard of in Channel.closed", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py("connect(); sys.exit(4)"),
    ...stage,
  });
  await child.status;
  assertEquals((await child.close()).code, 4);
  await assertRejects(() => child.channel.closed, ExitError);
});

for (const options of ways) {
  const over = `over ${options.transport}`;
  // The grandchild lives until the test ends
  const fork = `
if os.fork() == 0:
    obey()
    os._exit(0)
`;

  test(`Channel ends with the child though a grandchild holds the socket (${over})`, async () => {
    await using stage = await Stage.set();
    for (const code of [0, 6]) {
      const child = await spawn(python, {
        args: py(
          `connect()\nsend(b"x" * 1_000)\nsend(b"last words")${fork}os._exit(${code})`,
        ),
        ...stage,
        ...options,
        ...TEXT,
        gracePeriod: 2 ** 30,
      });
      await stage.puppet();
      const { closed } = child.channel;
      assertEquals((await child.channel.receive())?.length, 1_000);
      assertEquals(await child.channel.receive(), "last words");
      if (code === 0) {
        assertEquals(await child.channel.receive(), null);
        await closed;
      } else {
        await assertRejects(() => child.channel.receive(), ExitError);
        await assertRejects(() => closed, ExitError);
      }
      assertEquals((await child.close()).code, code);
    }
  });

  test(`Child.close() does not wait for a grandchild that holds the socket (${over})`, async () => {
    await using stage = await Stage.set();
    // Deno cannot cancel a write to a pipe: it waits for the grandchild
    const amounts = options.transport === "stdio" ? [0] : [0, 20_000_000];
    for (const queued of amounts) {
      const child = await spawn(python, {
        args: py(`connect()${fork}obey()`),
        ...stage,
        ...options,
        gracePeriod: 2 ** 30,
      });
      const puppets = [await stage.puppet(), await stage.puppet()];
      const parent = puppets.find(({ pid }) => pid === child.pid);
      assert(parent);
      if (queued) void child.channel.send(new Uint8Array(queued));
      const closing = child.close();
      await parent.start("os._exit(8)");
      assertEquals((await closing).code, 8);
    }
  });

  // Deno cannot cancel a write to a pipe
  if (options.transport !== "stdio") {
    test(`Channel.send() that waits for a grandchild rejects once the child has exited (${over})`, async () => {
      await using stage = await Stage.set();
      for (const code of [0, 8]) {
        const child = await spawn(python, {
          args: py(
            `connect()${fork}[send(b"last words") for n in range(9)]; obey()`,
          ),
          ...stage,
          ...options,
          serialization: text(),
          gracePeriod: 2 ** 30,
        });
        const puppets = [await stage.puppet(), await stage.puppet()];
        const parent = puppets.find(({ pid }) => pid === child.pid);
        assert(parent);
        const { channel } = child;
        const sent = channel.send("x".repeat(20_000_000));
        await parent.start(`os._exit(${code})`);
        await assertRejects(
          () => sent,
          code === 0 ? Deno.errors.BrokenPipe : ExitError,
        );
        await assertRejects(() => channel.send("more"));
        const received = [];
        for (let n = 0; n < 9; n++) received.push(await channel.receive());
        assertEquals(new Set(received), new Set(["last words"]));
        const end = channel.receive();
        if (code === 0) assertEquals(await end.catch(() => null), null);
        else await assertRejects(() => end, ExitError);
        assertEquals((await child.close()).code, code);
      }
    });
  }

  test(`Channel and Child.close() end though a grandchild sends on after the child's exit (${over})`, async () => {
    await using stage = await Stage.set();
    for (const hears of [true, false]) {
      const child = await spawn(python, {
        args: py(`
import time
connect()
if os.fork():
    obey()
try:
    while True:
        send(b"x" * 100)
        time.sleep(0.001)
except OSError:
    os._exit(0)
`),
        ...stage,
        ...options,
        gracePeriod: 2 ** 30,
      });
      const puppet = await stage.puppet();
      await puppet.start("os._exit(8)");
      if (hears) {
        await assertRejects(() => Array.fromAsync(child.channel), ExitError);
      }
      assertEquals((await child.close()).code, 8);
    }
  });

  test(`Channel gives all that the child had sent before it exited (${over})`, async () => {
    await using stage = await Stage.set();
    const child = await spawn(python, {
      args: py(
        `connect()${fork}for n in range(60): send(b"x" * 1_000)\nos._exit(0)`,
      ),
      ...stage,
      ...options,
    });
    await stage.puppet();
    await child.status;
    assertEquals((await Array.fromAsync(child.channel)).length, 60);
    await child.close();
  });
}
