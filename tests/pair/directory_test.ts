import { dirname, relative } from "node:path";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { text } from "../../channel.ts";
import { socketPair, spawn, spawnModule } from "../../pair.ts";
import { modules } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { noProcess, replace, setVariable } from "./replace.ts";
import { begin, isRoot, Stage, test } from "./stage.ts";

/** The bytes that a socket's path may have. */
const LIMIT = Deno.build.os === "linux" ? 107 : 103;

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

test(
  "spawn() and socketPair() refuse a directory where others could replace what is there",
  async () => {
    await using stage = await Stage.set();
    const directory = `${stage.directory}/inner`;
    await Deno.mkdir(directory);
    const starts = [
      () => spawn("true", { directory }),
      () => socketPair({ directory }),
    ];
    for (const start of starts) {
      await Deno.chmod(directory, 0o777);
      const error = await assertRejects(start, Deno.errors.PermissionDenied);
      assertStringIncludes(error.message, `"${directory}" can be written by`);
      assertEquals(await Array.fromAsync(Deno.readDir(directory)), []);
    }
    // Also if somebody has replaced it already.
    const { makeTempDir } = Deno;
    let replaced = "";
    {
      using _ = replace("makeTempDir", async (options) => {
        replaced = await makeTempDir(options);
        await Deno.writeTextFile(`${replaced}/file`, "");
        return replaced;
      });
      await assertRejects(
        () => socketPair({ directory }),
        Deno.errors.PermissionDenied,
        "can be written by",
      );
    }
    await Deno.remove(replaced, { recursive: true });
    // With the sticky bit only the owner of a file can replace it.
    await Deno.chmod(directory, 0o1777);
    for (const socket of await socketPair({ directory })) socket.close();
    await Deno.remove(directory);
  },
  Deno.build.os === "windows",
);
