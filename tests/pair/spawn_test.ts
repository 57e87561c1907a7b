import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { json, text } from "../../channel.ts";
import { netstring, TruncatedFrameError } from "../../framing.ts";
import { ConnectError, ExitError, spawn, spawnModule } from "../../pair.ts";
import { dropped, write } from "./connections.ts";
import { modules } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { noProcess, replace } from "./replace.ts";
import { begin, LONG, Stage, test, waitFor } from "./stage.ts";

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
      if (code === 0) assertEquals(await child.channel.receive(), null);
      else await assertRejects(() => child.channel.receive(), ExitError);
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

  test(`Child.channel over ${transport} gives what arrived whole from a child that ends inside a frame`, async () => {
    await using stage = await Stage.set();
    for (
      const { bytes, received, expected } of [
        { bytes: "frame(b'x' * 10)[:9]", received: 9, expected: 14 },
        { bytes: "frame(b'x')[:3]", received: 3, expected: undefined },
      ]
    ) {
      await using child = await spawn(python, {
        args: py(
          `connect(); send(b"whole"); parent.sendall(${bytes})`,
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
      assertEquals((await child.close()).code, 0);
    }
    // That it was killed says more
    await using child = await spawn(python, {
      args: py(
        `connect(); send(b"whole"); parent.sendall(frame(b"x")[:3]); os.kill(os.getpid(), signal.SIGKILL)`,
      ),
      ...stage,
      transport,
      serialization: text(),
    });
    assertEquals(await child.channel.receive(), "whole");
    await assertRejects(() => child.channel.receive(), ExitError);
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
          `^Cannot start .*python3 \\(child \\d+\\): it did not connect in ${connectTimeout} ms: does it call connectToParent\\(\\)\\?$`,
        ),
      );
      assertEquals(error.status, undefined);
      const pid = Number(/child (\d+)/.exec(error.message)?.[1]);
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

test("spawn() starts no process for options that the channel refuses", async () => {
  await using stage = await Stage.set();
  using _ = noProcess();
  for (const options of [{ maxFrameLength: -1 }, { highWaterMark: NaN }]) {
    await assertRejects(
      () => spawn("true", { ...stage, ...options }),
      RangeError,
    );
  }
});

test("spawn() leaves nothing behind for a framing that the channel refuses", async () => {
  await using stage = await Stage.set();
  const args = py("connect(); receive()");
  const framing = { ...netstring(), encodeTrailer: undefined };
  await assertRejects(
    // @ts-expect-error: it cannot be undefined
    () => spawn(python, { args, ...stage, framing }),
    TypeError,
  );
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

test("spawn() says why the system does not start a command, and what to do", async () => {
  await using stage = await Stage.set();
  const root = await Deno.makeTempDir();
  const file = async (name: string, text: string, mode = 0o755) => {
    await Deno.writeTextFile(`${root}/${name}`, text, { mode });
    return `${root}/${name}`;
  };
  const busy = `${root}/busy`;
  await Deno.copyFile("/bin/sh", busy);
  using _held = await Deno.open(busy, { write: true });
  const script = await file("script", "#!/no/such/program\n");
  for (
    const [command, args, advice] of [
      [script, [], ": if it is there, the program"],
      [new URL(`file://${script}`), [], ": if it is there, the program"],
      [await file("crlf", "#!/bin/sh\r\n"), [], "end in CRLF?"],
      [await file("a.ts", "", 0o644), [], ": to run a module, use spawnModule"],
      [busy, [], ": another process has it open for writing"],
      ["true", ["x".repeat(200_000)], ": shorten args and env"],
    ] as const
  ) {
    for (const transport of ["unix", "stdio"] as const) {
      const error = await assertRejects(
        () => spawn(command, { args: [...args], ...stage, transport }),
      );
      assertInstanceOf(error, Error);
      assertStringIncludes(error.message, advice);
    }
  }
  await Deno.remove(root, { recursive: true });
});

test("spawn() says that too many processes run", async () => {
  await using stage = await Stage.set();
  using _ = replace(
    "Command",
    class extends Deno.Command {
      override spawn(): never {
        throw new Error("Failed to spawn 'a': Resource (os error 11)");
      }
    },
  );
  await assertRejects(
    () => spawn("true", { ...stage }),
    Error,
    "(os error 11): too many processes run",
  );
  await assertRejects(
    () => spawnModule("data:text/javascript,"),
    Error,
    "(os error 11): too many processes run: end some, or raise ulimit -u",
  );
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
  using keeping = replace("removeSync", () => {});
  using refusing = replace("remove", () => Promise.reject(refusal));
  const spawning = begin(python, { args: py("obey()"), ...stage });
  const puppet = await stage.puppet();
  await puppet.start("connect()");
  const error = await assertRejects(() => spawning);
  refusing[Symbol.dispose]();
  keeping[Symbol.dispose]();
  assertStrictEquals(error, refusal);
  await puppet.ended();
  for (const name of await stage.entries()) {
    await Deno.remove(`${stage.directory}/${name}`, { recursive: true });
  }
});
