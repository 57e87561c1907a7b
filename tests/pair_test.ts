import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
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
import { Channel, json, text } from "../channel.ts";
import { TruncatedFrameError } from "../framing.ts";
import {
  type Child,
  ConnectError,
  connectToParent,
  socketPair,
  spawn,
  spawnModule,
  type SpawnOptions,
} from "../pair.ts";
import {
  py,
  python,
  replace,
  setVariable,
  Stage,
  waitFor,
} from "./children/stage.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const modules = new URL("./children/modules/", import.meta.url);
const parents = new URL("./children/parents/", import.meta.url);
const isRoot = Deno.build.os !== "windows" && Deno.uid() === 0;
const NOBODY = 65534;

/** Longer than a handshake may take, or a second: who passes within has not waited for strangers. */
const LONG = 2 ** 31 - 1;

/** The bytes that a socket's path may have. */
const LIMIT = Deno.build.os === "linux" ? 107 : 103;

function test(name: string, fn: () => Promise<void>, ignore = false) {
  // A wait that never ends is a failure, not the end of the suite
  Deno.test({ name, fn, ignore, timeout: 20_000 });
}

/** Spawn a child that the test waits for later: a rejection meanwhile is not unhandled. */
function begin<T = Uint8Array>(
  command: string,
  options: SpawnOptions<T>,
): Promise<Child<T>> {
  const spawning = spawn(command, options);
  spawning.catch(() => {});
  return spawning;
}

/** Resolves when the other side has closed the connection. */
async function dropped(conn: Deno.Conn) {
  using _ = conn;
  try {
    assertEquals(await conn.read(new Uint8Array(1)), null);
  } catch (error) {
    // It was closed with bytes unread
    assertInstanceOf(error, Deno.errors.ConnectionReset);
  }
}

async function write(conn: Deno.Conn, text: string) {
  const bytes = new TextEncoder().encode(text);
  assertEquals(await conn.write(bytes), bytes.length);
}

/** Fails if a process is started until the end of the block. */
function noProcess(): Disposable {
  return replace(
    "Command",
    class extends Deno.Command {
      override spawn(): never {
        throw new Error("A process was started");
      }
    },
  );
}

/** Run a program of tests/children/parents and give what it writes. */
async function runParent(
  name: string,
  args: string[],
  { flags = ["-A"], env = {} }: {
    flags?: string[];
    env?: Record<string, string>;
  } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = fileURLToPath(new URL(name, parents));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...flags, program, ...args],
    env,
    stdin: "null",
  }).output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

// socketPair()

test("socketPair() connects two ends, and leaves nothing behind", async () => {
  await using stage = await Stage.set();
  const [left, right] = await socketPair({ directory: stage.directory });
  assertEquals(await stage.entries(), []);
  await using a = new Channel(left, { serialization: text() });
  await using b = new Channel(right, { serialization: text() });
  await a.send("taco cat");
  await a.closeWrite();
  assertEquals(await b.receive(), "taco cat");
  assertEquals(await b.receive(), null);
  await b.send("tac ocat");
  assertEquals(await a.receive(), "tac ocat");
});

test("socketPair() does not mix up pairs that are made at once", async () => {
  await using stage = await Stage.set();
  const pairs = await Promise.all(
    Array.from({ length: 50 }, () => socketPair(stage)),
  );
  for (const [n, [left]] of pairs.entries()) await write(left, `${n}`);
  for (const [n, [left, right]] of pairs.entries()) {
    const bytes = new Uint8Array(8);
    const length = await right.read(bytes) ?? 0;
    assertEquals(new TextDecoder().decode(bytes.subarray(0, length)), `${n}`);
    left.close();
    right.close();
  }
});

test("socketPair() is not supported where there are no Unix sockets", async () => {
  using _ = replace("build", { ...Deno.build, os: "windows" });
  const error = await assertRejects(
    () => socketPair(),
    Deno.errors.NotSupported,
  );
  assertMatch(error.message, /^Cannot make socket pair: .*Windows$/);
});

test("socketPair() leaves no end open when it cannot remove the socket", async () => {
  await using stage = await Stage.set();
  const refusal = new Deno.errors.PermissionDenied("Permission denied");
  const { remove } = Deno;
  const refused: string[] = [];
  using refusing = replace("remove", (path) => {
    refused.push(String(path));
    return Promise.reject(refusal);
  });
  const error = await assertRejects(() => socketPair(stage));
  refusing[Symbol.dispose]();
  assertStrictEquals(error, refusal);
  for (const path of new Set(refused)) await remove(path, { recursive: true });
});

// Strangers

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

test("ConnectError.strangers has no entry for the child itself, nor for what looks after it", async () => {
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
    const spawning = begin(python, {
      args: py("obey()"),
      ...stage,
      transport,
      // Less than a handshake may take
      connectTimeout: 4_000,
    });
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
    const spawning = begin(python, {
      args: py("obey()"),
      ...stage,
      transport,
      connectTimeout: 4_000,
    });
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

test("spawn() keeps a child that shows all of the token but its last digit while there is no room", async () => {
  await using stage = await Stage.set();
  const options = { ...stage, connectTimeout: 4_000 };
  const spawning = begin(python, { args: py("obey()"), ...options });
  const puppet = await stage.puppet();
  // Ends the wait for room when the test says so
  const waiting = Promise.withResolvers<() => void>();
  const { setTimeout } = globalThis;
  using _ = {
    [Symbol.dispose]: () => void (globalThis.setTimeout = setTimeout),
  };
  const held = (
    callback: (...args: unknown[]) => void,
    delay: number,
    ...args: unknown[]
  ) => {
    if (delay <= 100) waiting.resolve(callback);
    return setTimeout(() => callback(...args), delay <= 100 ? LONG : delay);
  };
  globalThis.setTimeout = Object.assign(held, setTimeout);
  const conn = await puppet.dial();
  const strangers = [];
  for (let n = 0; n < 64; n++) strangers.push(await puppet.dial());
  const makeRoom = await waiting.promise;
  await write(conn, puppet.token.slice(0, -1));
  // What comes over a socket later is seen later
  for (const socket of await socketPair(stage)) socket.close();
  makeRoom();
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

// Lifecycle

test("Child.channel gives what a child that reads to the end answers", async () => {
  await using stage = await Stage.set();
  const serialization = json<number>();
  const program = fileURLToPath(new URL("sum.ts", modules));
  for (
    const child of [
      await spawn(python, {
        args: py(`
connect()
sum = 0
while (message := receive()) is not None:
    sum += int(message)
send(str(sum).encode())
`),
        ...stage,
        serialization,
      }),
      await spawn(Deno.execPath(), {
        args: ["run", "-A", program],
        ...stage,
        serialization,
      }),
      await spawnModule(program, { ...stage, serialization }),
    ]
  ) {
    await using _ = child;
    for (let n = 1; n <= 100; n++) await child.channel.send(n);
    await child.channel.closeWrite();
    assertEquals(await child.channel.receive(), 5050);
    assertEquals(await child.channel.receive(), null);
    assertEquals((await child.status).code, 0);
  }
});

for (const transport of ["unix", "tcp"] as const) {
  test(`spawn() over ${transport} lets a child in that has sent its result and gone before the parent looks`, async () => {
    await using stage = await Stage.set();
    const fifo = await stage.makeFifo();
    // The FIFO is the last that the child closes
    using _ = replace(
      "Command",
      class extends Deno.Command {
        override spawn(): Deno.ChildProcess {
          const process = super.spawn();
          waitFor(fifo);
          return process;
        }
      },
    );
    for (const code of [0, 7]) {
      await using child = await spawn(python, {
        args: py(
          `connect(); send(b"taco"); send(b" cat"); open(os.environ["FIFO"], "w"); sys.exit(${code})`,
        ),
        ...stage,
        transport,
        serialization: text(),
      });
      assertEquals(await child.channel.receive(), "taco");
      assertEquals(await child.channel.receive(), " cat");
      assertEquals(await child.channel.receive(), null);
      assertEquals((await child.close()).code, code);
    }
  });

  test(`Child.channel over ${transport} gives the last words of a child that read nothing`, async () => {
    await using stage = await Stage.set();
    const spawning = begin(python, {
      args: py("obey()"),
      ...stage,
      transport,
      serialization: text(),
    });
    const puppet = await stage.puppet();
    await puppet.start("connect()");
    await using child = await spawning;
    const { channel } = child;
    // More than the system takes
    const sent = channel.send("x".repeat(8 * 1024 * 1024));
    await puppet.start(
      "[send(b'last words %d' % n) for n in range(3)]; sys.exit(1)",
    );
    assertEquals((await child.status).code, 1);
    await assertRejects(() => sent);
    for (let n = 0; n < 3; n++) {
      assertEquals(await channel.receive(), `last words ${n}`);
    }
    await assertRejects(() => channel.receive());
    assertEquals((await child.close()).code, 1);
  });

  test(`Child.channel over ${transport} gives what arrived whole from a child that dies inside a frame`, async () => {
    await using stage = await Stage.set();
    for (
      const { bytes, received, expected } of [
        { bytes: "frame(b'x' * 10)[:9]", received: 9, expected: 14 },
        { bytes: "frame(b'x')[:3]", received: 3, expected: undefined },
      ]
    ) {
      await using child = await spawn(python, {
        args: py(
          `connect(); send(b"whole"); parent.sendall(${bytes}); os.kill(os.getpid(), signal.SIGKILL)`,
        ),
        ...stage,
        transport,
        serialization: text(),
      });
      assertEquals(await child.channel.receive(), "whole");
      const error = await assertRejects(
        () => child.channel.receive(),
        TruncatedFrameError,
      );
      assertEquals([error.received, error.expected], [received, expected]);
      assertEquals((await child.close()).signal, "SIGKILL");
    }
  });

  test(`spawn() over ${transport} rejects at once when the child exits before it connects`, async () => {
    await using stage = await Stage.set();
    const options = { ...stage, transport, connectTimeout: LONG };
    for (const code of [0, 1, 3, 127, 255]) {
      const error = await assertRejects(
        () => spawn("sh", { args: ["-c", `exit ${code}`], ...options }),
        ConnectError,
      );
      assertEquals(error.status, { success: code === 0, code, signal: null });
      assertStringIncludes(error.message, `code ${code}`);
      assertEquals(error.name, "ConnectError");
    }
    for (
      const signal of [
        "SIGHUP",
        "SIGINT",
        "SIGKILL",
        "SIGTERM",
        "SIGUSR1",
      ] as const
    ) {
      const error = await assertRejects(
        () =>
          spawn("sh", {
            args: ["-c", `kill -s ${signal.slice(3)} $$`],
            ...options,
          }),
        ConnectError,
      );
      assertEquals(error.status?.signal, signal);
      assertStringIncludes(error.message, signal);
    }
  });

  test(`spawn() over ${transport} rejects at once when the child exits without having sent the whole token`, async () => {
    await using stage = await Stage.set();
    for (
      const code of [
        "dial()",
        "dial().sendall(token()[:63])",
        "dial().sendall(b'x' * 64)",
        "all = [dial() for n in range(100)]; sys.exit(0)",
      ]
    ) {
      const error = await assertRejects(
        () =>
          spawn(python, {
            args: py(code),
            ...stage,
            transport,
            connectTimeout: LONG,
          }),
        ConnectError,
      );
      assertEquals(error.status?.code, 0);
      assert(error.strangers.length > 0);
    }
  });
}

test("spawn() rejects with the status of a child that removed its socket or its directory", async () => {
  await using stage = await Stage.set();
  for (
    const command of [
      'rm "$SOCKETPAIR_PATH"',
      'rm -r "$(dirname "$SOCKETPAIR_PATH")"',
      'rm "$SOCKETPAIR_PATH"; mkdir -p "$SOCKETPAIR_PATH/deep/down"',
    ]
  ) {
    const error = await assertRejects(
      () =>
        spawn("sh", {
          args: ["-c", `${command}; exit 3`],
          ...stage,
          connectTimeout: LONG,
        }),
      ConnectError,
    );
    assertEquals(error.status?.code, 3);
  }
});

test("spawn() rejects and frees all when the child exits with its standard streams piped", async () => {
  await using stage = await Stage.set();
  const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const error = await assertRejects(
    () =>
      spawn("sh", {
        args: ["-c", "echo out; echo err >&2; exit 3"],
        ...piped,
        ...stage,
      }),
    ConnectError,
  );
  assertEquals(error.status?.code, 3);
  await assertRejects(
    () =>
      spawn("sleep", { args: ["1000"], connectTimeout: 1, ...piped, ...stage }),
    ConnectError,
  );
});

test("spawn() kills a child that does not connect in connectTimeout", async () => {
  await using stage = await Stage.set();
  const ignores =
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); stranger = dial(); obey()";
  for (const connectTimeout of [0, 300]) {
    for (const transport of ["unix", "tcp"] as const) {
      const error = await assertRejects(
        () =>
          spawn(python, {
            args: py(ignores),
            ...stage,
            connectTimeout,
            transport,
          }),
        ConnectError,
      );
      assertMatch(
        error.message,
        new RegExp(
          `^Cannot connect to child \\d+: it did not connect in ${connectTimeout} ms$`,
        ),
      );
      assertEquals(error.status, undefined);
      const pid = Number(/\d+/.exec(error.message)?.[0]);
      // It has been reaped
      await assertRejects(
        // deno-lint-ignore require-await -- to reject
        async () => Deno.kill(pid, "SIGCONT"),
        Deno.errors.NotFound,
      );
    }
  }
});

test("spawn() says that a child did not connect, also where it may not be killed", async () => {
  await using stage = await Stage.set();
  const processes: Deno.ChildProcess[] = [];
  // As for a child that is root's: sudo
  using _ = replace(
    "Command",
    class extends Deno.Command {
      override spawn(): Deno.ChildProcess {
        const process = super.spawn();
        process.kill = () => {
          throw new Deno.errors.PermissionDenied("Operation not permitted");
        };
        processes.push(process);
        return process;
      }
    },
  );
  const failing = assertRejects(
    () =>
      spawn(python, {
        args: py("obey()"),
        ...stage,
        connectTimeout: 1_000,
        stdout: "piped",
      }),
  );
  const puppet = await stage.puppet();
  const error = await failing;
  await puppet.start("sys.exit()");
  for (const process of processes) {
    process.ref();
    await process.status;
  }
  assertInstanceOf(error, ConnectError);
});

test("spawn() closes the connection of a child that it gives up", async () => {
  await using stage = await Stage.set();
  const controller = new AbortController();
  const failing = assertRejects(
    () =>
      spawn(python, {
        args: py("obey()"),
        ...stage,
        signal: controller.signal,
      }),
  );
  const puppet = await stage.puppet();
  // All but the last digit
  const conn = await puppet.dial();
  await write(conn, puppet.token.slice(0, -1));
  controller.abort();
  await write(conn, puppet.token.slice(-1));
  await dropped(conn);
  await failing;
});

test("spawn() starts no process for options out of range", async () => {
  await using stage = await Stage.set();
  using _ = noProcess();
  for (const value of [-1, NaN, Infinity, 2 ** 31]) {
    for (const name of ["connectTimeout", "gracePeriod"]) {
      const error = await assertRejects(
        () => spawn("true", { ...stage, [name]: value }),
        RangeError,
      );
      assertStringIncludes(
        error.message,
        `Cannot use ${name}: ${value} is not`,
      );
    }
  }
});

test("spawn() leaves nothing behind for options that the channel refuses", async () => {
  await using stage = await Stage.set();
  const args = py("connect(); receive()");
  for (const options of [{ maxFrameLength: -1 }, { highWaterMark: NaN }]) {
    await assertRejects(
      () => spawn(python, { args, ...stage, ...options }),
      RangeError,
    );
  }
});

test("spawn() says when there is no such command, and leaves nothing behind", async () => {
  await using stage = await Stage.set();
  for (const transport of ["unix", "tcp"] as const) {
    await assertRejects(
      () => spawn("/no/such/command", { ...stage, transport }),
      Deno.errors.NotFound,
    );
    await assertRejects(
      () => spawn("true", { ...stage, transport, cwd: "/no/such/directory" }),
      Deno.errors.NotFound,
    );
    await assertRejects(
      () => spawn(stage.directory, { ...stage, transport }),
      Deno.errors.PermissionDenied,
    );
  }
});

test("spawn() leaves no listener behind when it cannot give the socket away", async () => {
  await using stage = await Stage.set();
  using _none = noProcess();
  // As for a parent that is not root
  const refusal = new Deno.errors.PermissionDenied("Operation not permitted");
  using _ = replace("chown", () => Promise.reject(refusal));
  const error = await assertRejects(() => spawn("true", { ...stage, uid: 0 }));
  assertStrictEquals(error, refusal);
});

test("spawn() leaves no child behind when it cannot remove the socket", async () => {
  await using stage = await Stage.set();
  const refusal = new Deno.errors.PermissionDenied("Permission denied");
  const { remove } = Deno;
  const refused: string[] = [];
  using refusing = replace("remove", (path) => {
    refused.push(String(path));
    return Promise.reject(refusal);
  });
  const spawning = begin(python, { args: py("obey()"), ...stage });
  const puppet = await stage.puppet();
  await puppet.start("connect()");
  const error = await assertRejects(() => spawning);
  refusing[Symbol.dispose]();
  assertStrictEquals(error, refusal);
  await puppet.ended();
  for (const path of new Set(refused)) await remove(path, { recursive: true });
});

// Child.close()

test("Child.close() ends a child that reads to the end, and gives its status", async () => {
  await using stage = await Stage.set();
  for (const code of [0, 7]) {
    const child = await spawn(python, {
      args: py(`connect(); echo(); sys.exit(${code})`),
      ...stage,
      gracePeriod: LONG / 2,
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
    const child = await spawn(command, { args, ...stage, gracePeriod: 10_000 });
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
    gracePeriod: 10_000,
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
    const child = await spawn(python, {
      args: py(`
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
told = []
connect()
obey()
`),
      ...stage,
      gracePeriod: 500,
    });
    const puppet = await stage.puppet();
    if (queued) void child.channel.send(new Uint8Array(queued));
    const closing = child.close();
    assertEquals(
      await puppet.run("while not told: signal.pause()\nanswer = told"),
      [true],
    );
    assertEquals((await closing).signal, "SIGKILL");
    await puppet.ended();
  });
}

test("Child.close() gives the status of a child that ends in order on SIGTERM", async () => {
  await using stage = await Stage.set();
  const child = await spawn(python, {
    args: py(
      "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); connect(); signal.pause()",
    ),
    ...stage,
    gracePeriod: 500,
  });
  assertEquals((await child.close()).code, 5);
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
      gracePeriod: 10_000,
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
  // What the system said, and no SuppressedError around it
  assert(
    failed instanceof Deno.errors.BrokenPipe ||
      failed instanceof Deno.errors.ConnectionReset,
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
  assertEquals((await child.status).code, 3);
  globalThis.removeEventListener("error", onError);
  assertEquals(uncaught, []);
});

// detached

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
    const failing = assertRejects(
      () => spawn("sh", { args, ...options, connectTimeout: 1_000 }),
      ConnectError,
    );
    const puppet = await stage.puppet();
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

test("spawn() without full --allow-run either refuses detached or fails where it is awaited", async () => {
  const allowed = `--allow-run=${python}`;
  const flags = ["--allow-read", "--allow-write", "--allow-net", allowed];
  const args = [python, ...py("connect(); signal.pause()")];
  const plain = await runParent("narrow.ts", ["plain", ...args], { flags });
  assertEquals(
    [plain.code, plain.stdout, plain.stderr],
    [0, "connected\nSIGTERM\n", ""],
  );
  const detached = await runParent("narrow.ts", ["detached", ...args], {
    flags,
  });
  assertStringIncludes(detached.stdout, "NotCapable\n");
  assertEquals([detached.code, detached.stderr], [0, ""]);
});

test("spawn() without --allow-read leaves no directory behind", async () => {
  await using stage = await Stage.set();
  const { stdout } = await runParent("narrow.ts", ["plain", "true"], {
    flags: ["--allow-write", "--allow-net", "--allow-run"],
    env: { TMPDIR: stage.directory },
  });
  assertEquals(stdout, "NotCapable\n");
  assertEquals(await stage.entries(), []);
});

// AbortSignal

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

// Orphans

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

// Options of the process

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

// transport

test("spawn() uses TCP by itself where there are no Unix sockets", async () => {
  await using stage = await Stage.set();
  using _ = replace("build", { ...Deno.build, os: "windows" });
  const spawning = begin(python, { args: py("obey()"), ...stage });
  const puppet = await stage.puppet();
  assertEquals(puppet.path, "");
  assert(puppet.port > 0);
  await puppet.start("connect(); echo(); sys.exit()");
  await using child = await spawning;
  await child.channel.send(new Uint8Array([1, 2, 3]));
  assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
});

test("spawn() over tcp listens on 127.0.0.1 alone, and needs no directory", async () => {
  const listen = Deno.listen;
  const options: unknown[] = [];
  // deno-lint-ignore no-explicit-any -- an overloaded function
  const watched: any = (option: Deno.TcpListenOptions) => {
    options.push(option.hostname);
    return listen(option);
  };
  using _ = replace("listen", watched);
  using _directory = replace("makeTempDir", () => {
    throw new Error("A directory was made");
  });
  await using child = await spawn(Deno.execPath(), {
    args: ["run", "-A", fileURLToPath(new URL("echo.ts", modules))],
    transport: "tcp",
    directory: "/no/such/directory",
  });
  assertEquals(options, ["127.0.0.1"]);
  await child.channel.send(new Uint8Array([1, 2, 3]));
  assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
});

test("spawn() over tcp in a process that is a child itself, and has not connected", async () => {
  using _path = setVariable("SOCKETPAIR_PATH", "/no/such/socket");
  using _token = setVariable("SOCKETPAIR_TOKEN", "0".repeat(64));
  using _port = setVariable("SOCKETPAIR_PORT", "1");
  await using stage = await Stage.set();
  const { directory } = stage;
  const args = [
    "run",
    "-A",
    fileURLToPath(new URL("echo.ts", modules)),
  ];
  for (const transport of ["unix", "tcp"] as const) {
    await using child = await spawn(Deno.execPath(), {
      args,
      transport,
      directory,
    });
    await child.channel.send(new Uint8Array([1, 2, 3]));
    assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
  }
});

for (const transport of ["unix", "tcp"] as const) {
  test(`spawnModule() over ${transport} runs the whole lifecycle`, async () => {
    await using stage = await Stage.set();
    const { directory } = stage;
    const module = new URL("echo.ts", modules);
    const child = await spawnModule(module, { transport, directory });
    assertEquals(await stage.entries(), []);
    await child.channel.send(new Uint8Array([1, 2, 3]));
    assertEquals(await child.channel.receive(), new Uint8Array([1, 2, 3]));
    assertEquals((await child.close()).code, 0);
    const error = await assertRejects(
      () =>
        spawnModule(new URL("missing.ts", modules), {
          transport,
          directory,
          stderr: "null",
        }),
      ConnectError,
    );
    assertEquals(error.status?.code, 1);
  });
}

// connectToParent()

test("connectToParent() outside of a child says who would have set what is missing", async () => {
  for (const name of [undefined, "PATH", "TOKEN"]) {
    using _ = name === undefined
      ? null
      : setVariable(`SOCKETPAIR_${name}`, "x");
    const error = await assertRejects(() => connectToParent());
    assertInstanceOf(error, Error);
    assertMatch(error.message, /^Cannot connect to parent: .*spawn\(\)/);
  }
});

test("connectToParent() connects once, and leaves nothing to the child's own children", async () => {
  await using stage = await Stage.set();
  for (const transport of ["unix", "tcp"] as const) {
    await using child = await spawn(Deno.execPath(), {
      args: ["run", "-A", fileURLToPath(new URL("twice.ts", modules))],
      ...stage,
      transport,
      serialization: json(),
    });
    assertMatch(
      String(await child.channel.receive()),
      /^Error: Cannot connect to parent: /,
    );
    assertEquals(await child.channel.receive(), null);
  }
});

/** A parent that waits for this process, over a socket or a port. */
class Listening implements AsyncDisposable {
  readonly listener: Deno.Listener;
  readonly #variables = new DisposableStack();
  readonly #stage: Stage;

  constructor(stage: Stage, transport: "unix" | "tcp") {
    this.#stage = stage;
    const path = `${stage.directory}/parent`;
    this.listener = transport === "tcp"
      ? Deno.listen({ hostname: "127.0.0.1", port: 0 })
      : Deno.listen({ transport: "unix", path });
    const { addr } = this.listener;
    this.#variables.use(setVariable("SOCKETPAIR_TOKEN", "0".repeat(64)));
    this.#variables.use(
      addr.transport === "tcp"
        ? setVariable("SOCKETPAIR_PORT", String(addr.port))
        : setVariable("SOCKETPAIR_PATH", path),
    );
  }

  async [Symbol.asyncDispose]() {
    this.#variables.dispose();
    this.listener.close();
    for (const name of await this.#stage.entries()) {
      await Deno.remove(`${this.#stage.directory}/${name}`);
    }
  }
}

for (const transport of ["unix", "tcp"] as const) {
  test(`connectToParent() over ${transport} writes the token, and then frames`, async () => {
    await using stage = await Stage.set();
    await using parent = new Listening(stage, transport);
    await using channel = await connectToParent({ serialization: text() });
    using conn = await parent.listener.accept();
    for (const name of ["PATH", "PORT", "TOKEN"]) {
      assertEquals(Deno.env.has(`SOCKETPAIR_${name}`), false);
    }
    await channel.send("taco cat");
    await channel.closeWrite();
    const bytes = [];
    const buffer = new Uint8Array(100);
    for (let length; (length = await conn.read(buffer)) !== null;) {
      bytes.push(...buffer.subarray(0, length));
    }
    assertEquals(
      new TextDecoder().decode(new Uint8Array(bytes)),
      "0".repeat(64) + "\x08\0\0\0taco cat",
    );
    await write(conn, "\x01\0\0\0x");
    assertEquals(await channel.receive(), "x");
  });

  test(`connectToParent() over ${transport} closes the connection when its options are refused`, async () => {
    await using stage = await Stage.set();
    await using _ = new Listening(stage, transport);
    await assertRejects(
      () => connectToParent({ maxFrameLength: -1 }),
      RangeError,
    );
  });
}

test("connectToParent() says that the parent does not wait any more", async () => {
  await using stage = await Stage.set();
  using _token = setVariable("SOCKETPAIR_TOKEN", "0".repeat(64));
  using _path = setVariable("SOCKETPAIR_PATH", `${stage.directory}/gone`);
  await assertRejects(() => connectToParent(), Deno.errors.NotFound);
});

// Paths

test("spawn() and socketPair() work in directories with spaces, commas and other characters", async () => {
  for (const name of ["a b", "a,b", "é€", "a'b\"c\\d\n", "%41?#"]) {
    await using stage = await Stage.set(name);
    for (const socket of await socketPair(stage)) socket.close();
    await using child = await spawn(python, {
      args: py("connect(); send(os.environ['SOCKETPAIR_PATH'].encode())"),
      ...stage,
      serialization: text(),
    });
    const path = await child.channel.receive();
    assertEquals(dirname(dirname(path ?? "")), stage.directory);
  }
});

test("spawnModule() works in a directory with spaces, and refuses one with a comma before any process is started", async () => {
  const module = new URL("echo.ts", modules);
  {
    await using stage = await Stage.set("a b");
    const { directory } = stage;
    await using child = await spawnModule(module, { directory });
    await child.channel.send(new Uint8Array([1]));
    assertEquals(await child.channel.receive(), new Uint8Array([1]));
  }
  {
    await using stage = await Stage.set("a,b");
    using _ = noProcess();
    const { directory } = stage;
    const error = await assertRejects(
      () => spawnModule(module, { directory }),
      TypeError,
    );
    assertStringIncludes(error.message, directory);
  }
});

test("spawn() works in a directory whose path is relative, wherever the child is", async () => {
  await using stage = await Stage.set();
  await using _ = await spawn(python, {
    args: py("connect()"),
    directory: relative(Deno.cwd(), stage.directory),
    cwd: "/",
  });
});

test("spawn() works in a directory behind a symbolic link", async () => {
  await using stage = await Stage.set();
  await using links = await Stage.set();
  const link = `${links.directory}/${"l".repeat(100)}`;
  await Deno.symlink(stage.directory, link);
  const args = py("connect()");
  await using _ = await spawn(python, { args, ...stage, directory: link });
  await Deno.remove(link);
});

test("spawn() and socketPair() take a directory as long as the system allows, and no longer", async () => {
  await using stage = await Stage.set();
  const room = LIMIT - stage.directory.length - "/".length;
  // Between the two lies the longest that fits, whatever the name of ours
  let longest = 0;
  for (let length = room; length > 0; length--) {
    // Two bytes each, if there are two
    const name = "é".repeat(length / 2).padEnd(
      length - Math.floor(length / 2),
      "x",
    );
    const directory = `${stage.directory}/${name}`;
    await Deno.mkdir(directory);
    try {
      for (const socket of await socketPair({ directory })) socket.close();
      longest = length;
    } catch (error) {
      assertInstanceOf(error, RangeError);
      assertStringIncludes(error.message, `${LIMIT}`);
      assertStringIncludes(error.message, directory);
      using _ = noProcess();
      await assertRejects(() => spawn("true", { directory }), RangeError);
    } finally {
      await Deno.remove(directory);
    }
    if (longest) break;
  }
  // Our own part is short
  assert(room - longest < 25, `${room - longest} bytes are ours`);
});

test("spawn() says which directory is missing, is none or cannot be written to, before any process is started", async () => {
  await using stage = await Stage.set();
  using _ = noProcess();
  const file = `${stage.directory}/file`;
  await Deno.writeTextFile(file, "");
  const dangling = `${stage.directory}/dangling`;
  await Deno.symlink("nowhere", dangling);
  const loop = `${stage.directory}/loop`;
  await Deno.symlink("loop", loop);
  for (
    const [directory, kind] of [
      ["/no/such/directory", Deno.errors.NotFound],
      [dangling, Deno.errors.NotFound],
      [file, Deno.errors.NotADirectory],
      [loop, Error],
      ["", Error],
    ] as const
  ) {
    for (
      const make of [
        () => spawn("true", { directory }),
        () => socketPair({ directory }),
      ]
    ) {
      const error = await assertRejects(make, kind);
      assertInstanceOf(error, Error);
      assertStringIncludes(
        error.message,
        `Cannot make socket in directory "${directory}": `,
      );
    }
  }
  for (const path of [file, dangling, loop]) await Deno.remove(path);
});

test(
  "spawn() says which directory is read-only",
  async () => {
    await using stage = await Stage.set();
    using _ = noProcess();
    // Root may write to any other
    const directory = isRoot ? "/proc/self/fdinfo" : stage.directory;
    if (!isRoot) await Deno.chmod(directory, 0o500);
    const error = await assertRejects(() => spawn("true", { directory }));
    assertInstanceOf(error, Error);
    assertStringIncludes(
      error.message,
      `Cannot make socket in directory "${directory}": `,
    );
  },
  Deno.build.os !== "linux",
);

test("spawn() and socketPair() use /tmp where the default temporary directory is too long", async () => {
  await using stage = await Stage.set();
  const long = `${stage.directory}/${"x".repeat(100)}`;
  await Deno.mkdir(long);
  {
    using _ = setVariable("TMPDIR", long);
    const { env } = stage;
    const spawning = begin(python, { args: py("obey()"), env });
    const puppet = await stage.puppet();
    assertEquals(
      dirname(dirname(puppet.path)),
      await Deno.realPath("/tmp"),
    );
    assertEquals(await Array.fromAsync(Deno.readDir(long)), []);
    await puppet.start("connect(); echo(); sys.exit()");
    await using _child = await spawning;
    await assertRejects(
      () => Deno.stat(dirname(puppet.path)),
      Deno.errors.NotFound,
    );
    for (const socket of await socketPair()) socket.close();
  }
  await Deno.remove(long);
});

test("spawn() uses the default temporary directory, whatever its name, and says so when it is missing", async () => {
  for (const name of ["a b", "a,b", "é€"]) {
    await using stage = await Stage.set(name);
    using _ = setVariable("TMPDIR", stage.directory);
    const { env } = stage;
    const spawning = begin(python, { args: py("obey()"), env });
    const puppet = await stage.puppet();
    assertEquals(dirname(dirname(puppet.path)), stage.directory);
    await puppet.start("connect(); echo(); sys.exit()");
    await using _child = await spawning;
  }
  using _ = setVariable("TMPDIR", "/no/such/directory");
  using _none = noProcess();
  const error = await assertRejects(
    () => spawn("true"),
    Deno.errors.NotFound,
  );
  assertStringIncludes(error.message, "/no/such/directory");
  assertMatch(error.message, /^Cannot make socket/);
});

// SOCKETPAIR_DEBUG

const debug = { env: { SOCKETPAIR_DEBUG: "1" } };

/** The lines of one process, without its id. */
function linesOf(stderr: string, pid: string | undefined): string[] {
  const lines = stderr.split("\n");
  const prefix = `socketpair ${pid}: `;
  return lines.filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length));
}

for (
  const [kind, ...args] of [
    ["module", fileURLToPath(new URL("echo.ts", modules))],
    [
      "command",
      Deno.execPath(),
      "run",
      "-A",
      fileURLToPath(new URL("echo.ts", modules)),
    ],
  ]
) {
  test(`SOCKETPAIR_DEBUG=1 has both sides tell what happens to a ${kind}, never the token or a payload`, async () => {
    assert(kind);
    const { code, stderr } = await runParent(
      "traced.ts",
      [kind, ...args],
      debug,
    );
    assertEquals(code, 0);
    for (const line of stderr.trimEnd().split("\n")) {
      assertMatch(line, /^socketpair \d+: \S/);
    }
    const [, parent] = /socketpair (\d+): listening/.exec(stderr) ?? [];
    const [, child] = /socketpair (\d+): connected to parent/.exec(stderr) ??
      [];
    assertNotEquals(parent, child);
    const seen = linesOf(stderr, parent);
    const expected = [
      /^listening on \/.*\/s$/,
      new RegExp(`^child ${child} connected$`),
      /^sent frame of 8 bytes$/,
      /^received frame of 8 bytes$/,
      new RegExp(`^child ${child} exited: code 0$`),
    ];
    for (const line of expected) {
      assert(seen.some((it) => line.test(it)), `${line} in ${seen}`);
    }
    assert(seen.includes("closed"));
    assertEquals(linesOf(stderr, child), [
      "connected to parent",
      "received frame of 8 bytes",
      "sent frame of 8 bytes",
      "closed",
    ]);
    assert(!/[0-9a-f]{20}|taco|cat/.test(stderr));
  });
}

test("SOCKETPAIR_DEBUG=1 tells why strangers are dropped, and how a child exits that never connected", async () => {
  const args = py(`
stranger = dial()
stranger.sendall(bytes([token()[0] ^ 1]) + token()[1:])
stranger.recv(1)
dial().sendall(token()[:10])
sys.exit(3)
`);
  const { stdout, stderr } = await runParent(
    "traced.ts",
    ["command", python, ...args],
    debug,
  );
  assertEquals(stdout, "ConnectError\n");
  assertMatch(stderr, /: stranger: .*wrong\n/);
  assertMatch(stderr, /: stranger: .*10 bytes of 64\n/);
  assertMatch(stderr, /: child \d+ exited: code 3\n/);
  assert(!/[0-9a-f]{20}/.test(stderr));
});

test("SOCKETPAIR_DEBUG=1 tells of frames cut short, and shows no byte of them", async () => {
  const args = py(
    "connect(); receive(); parent.sendall(frame(b'taco cat')[:9])",
  );
  const { stdout, stderr } = await runParent(
    "traced.ts",
    ["command", python, ...args],
    debug,
  );
  assertEquals(stdout, "TruncatedFrameError\n");
  assertMatch(stderr, /failed: .*9/);
  assert(!/taco/.test(stderr));
});

test("SOCKETPAIR_DEBUG is off unless it is 1 and may be read", async () => {
  const args = ["command", python, ...py("connect(); echo()")];
  for (
    const [value, flags] of [
      ["0", ["-A"]],
      ["", ["-A"]],
      ["1", ["--allow-read", "--allow-write", "--allow-net", "--allow-run"]],
    ] as const
  ) {
    const { code, stdout, stderr } = await runParent("traced.ts", args, {
      flags: [...flags],
      env: { SOCKETPAIR_DEBUG: value },
    });
    assertEquals([code, stdout, stderr], [0, "", ""]);
  }
});

test("spawn() and socketPair() throw RangeError for a directory that is too long, also where it is missing", async () => {
  const directory = `/tmp/${"x".repeat(110)}`;
  for (
    const start of [
      () => spawn("true", { directory }),
      () => socketPair({ directory }),
    ]
  ) {
    await assertRejects(
      start,
      RangeError,
      `${Deno.build.os === "linux" ? 107 : 103}`,
    );
  }
});

test("spawn() throws TypeError for an unknown transport", async () => {
  const options = JSON.parse('{"transport":"udp"}');
  await assertRejects(() => spawn("true", options), TypeError, '"udp"');
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
