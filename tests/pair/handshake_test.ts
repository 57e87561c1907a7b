import { dirname } from "node:path";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { text } from "../../channel.ts";
import { ConnectError, socketPair, spawn, spawnModule } from "../../pair.ts";
import { dropped, write } from "./connections.ts";
import { py, python } from "./python.ts";
import { holdTimers, replace } from "./replace.ts";
import { begin, isRoot, LONG, NOBODY, Stage, test, waitFor } from "./stage.ts";

test("spawn() drops strangers, and says what became of each", async () => {
  await using stage = await Stage.set();
  const failing = assertRejects(
    () => spawn(python, { args: py("obey()"), ...stage, connectTimeout: LONG }),
    ConnectError,
  );
  const puppet = await stage.puppet();
  const almost = puppet.token.replace(
    /.$/,
    (digit) => digit === "0" ? "1" : "0",
  );
  const reasons = [];
  for (
    const { says, closes, reason } of [
      { says: "", closes: true, reason: /0 bytes of 64/ },
      {
        says: puppet.token.slice(0, 32),
        closes: true,
        reason: /32 bytes of 64/,
      },
      {
        says: puppet.token.slice(0, 63),
        closes: true,
        reason: /63 bytes of 64/,
      },
      { says: almost, closes: false, reason: /wrong/ },
      { says: puppet.token.toUpperCase(), closes: false, reason: /wrong/ },
      { says: " ".repeat(64), closes: false, reason: /wrong/ },
      {
        says: "GET / HTTP/1.1\r\n".repeat(100),
        closes: false,
        reason: /wrong/,
      },
      { says: "\0".repeat(64), closes: false, reason: /wrong/ },
    ]
  ) {
    const conn = await puppet.dial();
    await write(conn, says);
    if (closes) await conn.closeWrite();
    await dropped(conn);
    reasons.push(reason);
  }
  await puppet.start("sys.exit(3)");
  const { status, strangers, cause } = await failing;
  assertEquals(status, { success: false, code: 3, signal: null });
  assertEquals(strangers.length, reasons.length);
  for (const [n, reason] of reasons.entries()) {
    assertMatch(strangers[n]?.message ?? "", reason);
  }
  assertStrictEquals(cause, strangers.at(-1));
});

test("ConnectError.cause is the last stranger, also of those dropped at the end", async () => {
  await using stage = await Stage.set();
  const failing = assertRejects(
    () => spawn(python, { args: py("obey()"), ...stage }),
    ConnectError,
  );
  const puppet = await stage.puppet();
  const silent = await puppet.dial();
  await puppet.start("sys.exit(3)");
  await dropped(silent);
  const { strangers, cause } = await failing;
  assertEquals(strangers.length, 1);
  assertInstanceOf(cause, Error);
  assertStrictEquals(cause, strangers.at(-1));
});

test("ConnectError.strangers is empty if the child exits and nothing else connects", async () => {
  await using stage = await Stage.set();
  const { strangers, cause } = await assertRejects(
    () => spawn("sh", { args: ["-c", "exit 3"], ...stage }),
    ConnectError,
  );
  assertEquals(strangers, []);
  assertEquals(cause, undefined);
});

test("ConnectError.strangers is bounded", async () => {
  await using stage = await Stage.set();
  const failing = assertRejects(
    () => spawn(python, { args: py("obey()"), ...stage }),
    ConnectError,
  );
  const puppet = await stage.puppet();
  for (let n = 0; n < 1_100; n++) {
    const conn = await puppet.dial();
    // Each has bytes of its own, to be told from the others
    await write(conn, "x".repeat(n % 64));
    conn.close();
  }
  await puppet.start("sys.exit(3)");
  const { strangers } = await failing;
  assertEquals(strangers.length, 1_000);
  assertStringIncludes(strangers.at(-1)?.message ?? "", `${1_099 % 64} bytes`);
});

for (const transport of ["unix", "tcp"] as const) {
  test(`spawn() over ${transport} lets the child in past 200 silent strangers, and holds few of them`, async () => {
    await using stage = await Stage.set();
    // Nobody goes for having been silent too long
    using _ = holdTimers((delay) => delay > 1_000);
    const spawning = begin(python, { args: py("obey()"), ...stage, transport });
    const puppet = await stage.puppet();
    const strangers = [];
    for (let n = 0; n < 200; n++) strangers.push(await puppet.dial());
    // Most of them go before the child comes
    await Promise.all(strangers.splice(0, 100).map(dropped));
    await puppet.start("connect(); send(b'taco cat'); echo(); sys.exit()");
    await using child = await spawning;
    await Promise.all(strangers.map(dropped));
    assertEquals(
      await child.channel.receive(),
      new TextEncoder().encode("taco cat"),
    );
  });

  test(`spawn() over ${transport} keeps a child behind which many strangers came`, async () => {
    await using stage = await Stage.set();
    using _timers = holdTimers((delay) => delay > 1_000);
    const spawning = begin(python, { args: py("obey()"), ...stage, transport });
    const puppet = await stage.puppet();
    // Meanwhile the parent cannot look: all are waiting when it does
    const fifo = await stage.makeFifo();
    await puppet.start(
      "connect(); all = [dial() for n in range(100)]; open(os.environ['FIFO'], 'w').close(); echo(); sys.exit()",
    );
    waitFor(fifo);
    await using _ = await spawning;
  });

  test(`spawn() over ${transport} waits for the one with the token, and lets in only one`, async () => {
    await using stage = await Stage.set();
    const spawning = begin(python, { args: py("obey()"), ...stage, transport });
    const puppet = await stage.puppet();
    const first = await puppet.dial();
    const second = await puppet.dial();
    await Promise.all([first, second].map((conn) => write(conn, puppet.token)));
    await using child = await spawning;
    await child.channel.send(new Uint8Array());
    await child.channel.closeWrite();
    const ends = await Promise.all([first, second].map(async (conn) => {
      using _ = conn;
      return await conn.read(new Uint8Array(8)).catch(() => null);
    }));
    assertEquals(ends.toSorted(), [4, null]);
    await puppet.start("sys.exit()");
  });

  test(`spawn() over ${transport} leaves nothing to connect to once the child is in`, async () => {
    await using stage = await Stage.set();
    const spawning = begin(python, { args: py("obey()"), ...stage, transport });
    const puppet = await stage.puppet();
    await puppet.start("connect(); echo(); sys.exit()");
    await using _ = await spawning;
    assertEquals(await stage.entries(), []);
    await assertRejects(
      () => puppet.dial(),
      transport === "tcp"
        ? Deno.errors.ConnectionRefused
        : Deno.errors.NotFound,
    );
  });

  test(`spawn() over ${transport} takes the token in pieces, and what follows it at once`, async () => {
    await using stage = await Stage.set();
    for (
      const code of [
        "parent = dial(); parent.sendall(token() + frame(b'taco cat') + frame(b'.')); receive()",
        "parent = dial(); [parent.sendall(bytes([b])) for b in token() + frame(b'taco cat') + frame(b'.')]; receive()",
      ]
    ) {
      await using child = await spawn(python, {
        args: py(code),
        ...stage,
        transport,
        serialization: text(),
      });
      assertEquals(await child.channel.receive(), "taco cat");
      assertEquals(await child.channel.receive(), ".");
    }
  });
}

test("spawn() keeps a child that has sent all of the token but its last digit", async () => {
  await using stage = await Stage.set();
  // Nobody is dropped for having been silent too long
  using _ = holdTimers((delay) => delay > 1_000);
  const spawning = begin(python, { args: py("obey()"), ...stage });
  const puppet = await stage.puppet();
  const conn = await puppet.dial();
  await write(conn, puppet.token.slice(0, -1));
  const strangers = [];
  for (let n = 0; n < 70; n++) strangers.push(await puppet.dial());
  await Promise.race(strangers.map((conn) => conn.read(new Uint8Array(1))));
  await write(conn, puppet.token.slice(-1));
  await using child = await spawning;
  for (const stranger of strangers) stranger.close();
  await child.channel.closeWrite();
  await dropped(conn);
  await puppet.start("sys.exit()");
});

test("spawn() drops who is silent or slow, and waits on", async () => {
  await using stage = await Stage.set();
  const spawning = begin(python, {
    args: py("obey()"),
    ...stage,
    connectTimeout: LONG,
  });
  const puppet = await stage.puppet();
  const silent = await puppet.dial();
  // One byte a second, until it is dropped
  const slow = puppet.run(`
import time
slow = dial()
slow.settimeout(1)
sent = 0
for digit in token():
    try:
        slow.sendall(bytes([digit]))
        if not slow.recv(1):
            break
    except TimeoutError:
        sent += 1
    except OSError:
        break
answer = sent
`);
  await dropped(silent);
  const sent = await slow;
  assert(typeof sent === "number" && sent < 64);
  await puppet.start("connect(); echo(); sys.exit()");
  await using _ = await spawning;
});

test("spawn() makes the directory 0700 before there is a socket in it", async () => {
  await using stage = await Stage.set();
  const umask = Deno.umask(0);
  try {
    const listen = Deno.listen;
    const modes: unknown[] = [];
    // deno-lint-ignore no-explicit-any -- an overloaded function
    const watched: any = (options: Deno.UnixListenOptions) => {
      const directory = dirname(options.path);
      const { mode } = Deno.statSync(directory);
      modes.push([(mode ?? 0) & 0o777, [...Deno.readDirSync(directory)]]);
      return listen({ ...options, transport: "unix" });
    };
    using _ = replace("listen", watched);
    for (const socket of await socketPair(stage)) socket.close();
    const args = py("connect()");
    await using _child = await spawn(python, { args, ...stage });
    assertEquals(modes, [[0o700, []], [0o700, []]]);
  } finally {
    Deno.umask(umask);
  }
});

test(
  "spawn() keeps other users of the machine out",
  async () => {
    await using stage = await Stage.set();
    await stage.open();
    const spawning = begin(python, { args: py("obey()"), ...stage });
    const puppet = await stage.puppet();
    const { stdout } = await new Deno.Command(python, {
      args: py(`
try:
    dial()
except OSError as error:
    print(type(error).__name__)
`),
      // It may not be let into the checkout
      cwd: stage.directory,
      env: { SOCKETPAIR_PATH: puppet.path },
      uid: NOBODY,
      gid: NOBODY,
    }).output();
    assertEquals(new TextDecoder().decode(stdout), "PermissionError\n");
    await puppet.start("connect(); echo(); sys.exit()");
    await using _ = await spawning;
  },
  !isRoot,
);

test("spawn() draws a token of 256 bits for each child, and compares all of it", async () => {
  await using stage = await Stage.set();
  const tokens = [];
  for (let n = 0; n < 2; n++) {
    const spawning = begin(python, { args: py("obey()"), ...stage });
    const puppet = await stage.puppet();
    await puppet.start("connect(); echo(); sys.exit()");
    await using _ = await spawning;
    assertMatch(puppet.token, /^[0-9a-f]{64}$/);
    tokens.push(puppet.token);
  }
  assertNotEquals(tokens[0], tokens[1]);
});

test("spawnModule() counts a module that fails to load as no stranger", async () => {
  const error = await assertRejects(
    () =>
      spawnModule("data:application/javascript,throw new Error()", {
        stderr: "null",
      }),
    ConnectError,
  );
  assertEquals(error.strangers, []);
  assertEquals(error.status?.code, 1);
});
