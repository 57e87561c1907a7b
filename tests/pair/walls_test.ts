import { constants, existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { spawnModule } from "../../pair.ts";
import { setVariable } from "./replace.ts";
import {
  hasBubblewrap,
  hear,
  refusal,
  sender,
  temporaryDirectory,
  walls,
  writeModule,
} from "./sandbox.ts";

/** Run a test in each wall. */
function inEachWall(
  name: string,
  fn: (options: { wall?: "bubblewrap" }) => Promise<void>,
) {
  for (const [wall, options] of Object.entries(walls)) {
    const ignore = options.wall !== undefined && !hasBubblewrap;
    Deno.test({ name: `${name}: ${wall}`, ignore, fn: () => fn(options) });
  }
}

/** Text that an expression gives, or why it was refused. */
function importing(url: string, type: string): string {
  return `await (async (url) => (await import(url, { with: { type: "${type}" } })).default)(${url})`;
}

inEachWall(
  "spawnModule() lets a module read no file that lies beside it",
  async (options) => {
    await using root = await temporaryDirectory();
    await Deno.mkdir(`${root.path}/.hidden`);
    const files: Record<string, string> = {
      ".hidden/data.json": `"SECRET"`,
      ".env": "SECRET=x",
      ".env.json": `"SECRET"`,
      "notes.txt": "SECRET",
      "other.ts": `export default "SECRET";`,
    };
    const attempts = [
      `await Deno.readTextFile(import.meta.dirname + "/.env")`,
      `Array.from(Deno.readDirSync(import.meta.dirname), ({ name }) => name)`,
      importing(`import.meta.resolve("./.env")`, "text"),
      importing(`import.meta.resolve("./.env.json")`, "json"),
      // Literal specifiers are in the module's graph, and the module chooses them.
      `(await import("./.env", { with: { type: "text" } })).default`,
      `(await import("./.env.json", { with: { type: "json" } })).default`,
      `(await import("./.hidden/data.json", { with: { type: "json" } })).default`,
      `(await import("./notes.txt", { with: { type: "text" } })).default`,
      `await (async (url) => (await import(url)).default)("./other" + ".ts")`,
    ];
    for (const attempt of attempts) {
      const module = await writeModule(root.path, {
        ...files,
        "child.ts": sender("", attempt),
      });
      const [refused = ""] = await hear(module, options);
      assertStringIncludes(refused, "refused: ", attempt);

      const permissions = { read: [root.path] };
      const [message = ""] = await hear(module, { permissions, ...options });
      assert(!message.startsWith("refused: "), message);
    }
  },
);

inEachWall(
  "spawnModule() lets a module read no link and no directory that is named like code",
  async (options) => {
    await using root = await temporaryDirectory();
    const directory = `${root.path}/module`;
    await Deno.mkdir(`${directory}/chart.js`, { recursive: true });
    await Deno.mkdir(`${directory}/data`);
    const module = (path: string) =>
      writeModule(directory, {
        ".env": "SECRET",
        "chart.js/.env": "SECRET",
        "data/data.json": `"SECRET"`,
        "child.ts": sender(
          `if (0 > 1) for (const _ of [import("./link.ts"), import("./chart.js"), import("./all.js")]);`,
          `await Deno.readTextFile(import.meta.dirname + "/${path}")`,
        ),
      });
    await Deno.symlink(".env", `${directory}/link.ts`);
    await Deno.symlink("data", `${directory}/all.js`);
    for (const path of ["link.ts", "chart.js/.env", "all.js/data.json"]) {
      const [message = ""] = await hear(await module(path), options);
      assertStringIncludes(message, "refused: ", path);
    }
    // So can a link to a directory that is not there.
    await Deno.symlink(".none", `${directory}/none`);
    const missing = await writeModule(directory, {
      "child.ts": sender(
        `if (0 > 1) await import("./none/data.json", { with: { type: "json" } });`,
        `await Deno.readTextFile(import.meta.dirname + "/none/data.json")`,
      ),
    });
    const [none = ""] = await hear(missing, options);
    assertStringIncludes(none, "refused: NotCapable");
    await Deno.remove(`${directory}/none`);
    // A link that leads nowhere when the module is started can lead to a file later.
    await Deno.remove(`${directory}/link.ts`);
    await Deno.symlink(".later", `${directory}/link.ts`);
    const [later = ""] = await hear(await module("link.ts"), options);
    assertStringIncludes(later, "refused: NotCapable");
    await Deno.remove(`${directory}/link.ts`);
    await Deno.symlink("/etc/passwd", `${directory}/link.ts`);
    const [message = "refused: "] = await hear(
      await module("link.ts"),
      options,
    );
    assertStringIncludes(message, "refused: ");
  },
);

inEachWall(
  "spawnModule() leaves no way through a cache of npm that Deno makes itself",
  async (options) => {
    await using root = await temporaryDirectory();
    await Deno.writeTextFile(`${root.path}/secret`, "SECRET");
    const climb = "%2F..".repeat(20) + encode(`${root.path}/secret`);
    const module = await writeModule(`${root.path}/module`, {
      "child.ts": sender(
        "",
        importing(
          `"file://" + Deno.env.get("DENO_DIR") + "/npm/${climb}"`,
          "text",
        ),
      ),
    });
    const permissions = { env: ["DENO_DIR"] };
    const [message = ""] = await hear(module, { permissions, ...options });
    assertStringIncludes(message, "refused: ");
  },
);

inEachWall(
  "spawnModule() refuses a module that could reach its cache or that of another",
  async (options) => {
    await using root = await temporaryDirectory();
    const module = await writeModule(`${root.path}/module`, {
      "child.ts": sender("", "8417"),
    });
    const permissions = { read: [root.path], write: [root.path] };
    const start = { permissions, directory: root.path, ...options };
    assert((await refusal(module, start)).includes("its cache would lie in"));
    await using other = await temporaryDirectory();
    const elsewhere = { ...start, directory: other.path };
    assertEquals(await hear(module, elsewhere), ["8417"]);
  },
);

inEachWall(
  "spawnModule() writes nothing to the parent's cache",
  async (options) => {
    await using root = await temporaryDirectory();
    await Deno.mkdir(`${root.path}/cache`);
    const module = await writeModule(`${root.path}/module`, {
      "child.ts": sender("", "8417"),
    });
    const env = { DENO_DIR: `${root.path}/cache` };
    assertEquals(await hear(module, { env, ...options }), ["8417"]);
    assertEquals([...Deno.readDirSync(`${root.path}/cache`)], []);
  },
);

inEachWall(
  "spawnModule() lets a module import JSON from its directory",
  async (options) => {
    await using root = await temporaryDirectory();
    await Deno.mkdir(`${root.path}/sub`);
    const module = await writeModule(root.path, {
      "sub/data.json": `["tacocat"]`,
      "child.ts": sender(
        `import data from "./sub/data.json" with { type: "json" };`,
        "data",
      ),
    });
    assertEquals(await hear(module, options), ["tacocat"]);
  },
);

inEachWall(
  "spawnModule() lets a module import its own code",
  async (options) => {
    await using root = await temporaryDirectory();
    await Deno.mkdir(`${root.path}/sub`);
    const module = await writeModule(root.path, {
      "lib.ts": `import b from "./sub/b.js"; export default "a" + b;`,
      "sub/b.js": `export default "b";`,
      "later.mjs": `export default "c";`,
      "child.ts": sender(
        `import a from "./lib.ts";`,
        `a + (await import("./later.mjs")).default`,
      ),
    });
    assertEquals(await hear(module, options), ["abc"]);

    // The files of the graph are known; a change is seen.
    await Deno.writeTextFile(
      `${root.path}/lib.ts`,
      `import d from "./d.ts"; export default d;`,
    );
    await Deno.writeTextFile(`${root.path}/d.ts`, `export default "d";`);
    assertEquals(await hear(module, options), ["dc"]);
  },
);

Deno.test("spawnModule() says what to do for a module that imports what is not there or not its code", async () => {
  await using root = await temporaryDirectory();
  for (
    const [specifier, type, note] of [
      ["./data.txt", "text", `permissions: { read: ["..."] }`],
      ["../up.ts", "", `permissions: { read: ["..."] }`],
      ["npm:fast-check@^4", "", "npmCache: true"],
      ["jsr:@taco/none@1", "", `run "deno cache file:`],
      ["https://taco.invalid/a.ts", "", `run "deno cache file:`],
    ]
  ) {
    const attributes = type === "" ? "" : ` with { type: "${type}" }`;
    const module = await writeModule(`${root.path}/module`, {
      "data.txt": "",
      "child.ts": sender(`import x from "${specifier}"${attributes};`, "x"),
    });
    await Deno.writeTextFile(`${root.path}/up.ts`, "export default 1;");
    const error = await assertRejects(
      () => spawnModule(module, { stderr: "null" }),
      Error,
    );
    assertStringIncludes(error.message, note ?? "");
    assert(!error.message.includes("--allow-import"), error.message);
  }
});

/** A specifier that Deno takes for a file of a cached npm package. */
async function climbing(path: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
    env: { NO_COLOR: "1" },
  }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  const registry = Array.from(Deno.readDirSync(npmCache))
    .find(({ name }) => name.includes("."))?.name;
  const up = "%2F..".repeat(30);
  return `file://${npmCache}/${registry}/fast-check${up}${encode(path)}`;
}

function encode(path: string): string {
  return path.replaceAll("/", "%2F");
}

for (const transport of ["unix", "stdio"] as const) {
  inEachWall(
    `spawnModule() over ${transport} lets a module read nothing through the cache of npm`,
    async (options) => {
      await using root = await temporaryDirectory();
      await Deno.writeTextFile(`${root.path}/secret`, "SECRET");
      const url = JSON.stringify(await climbing(`${root.path}/secret`));
      const child = transport === "stdio" ? `"stdio"` : "undefined";
      const module = await writeModule(`${root.path}/module`, {
        "child.ts": sender("", importing(url, "text"))
          .replace("text()", `text(), transport: ${child}`),
      });
      const [refused = ""] = await hear(module, { transport, ...options });
      assertStringIncludes(refused, "refused: ");

      // With the cache of npm only the second wall is left.
      const npm = { transport, npmCache: true, ...options };
      const [message = ""] = await hear(module, npm);
      assertEquals(
        message.replace(/:.*/s, ""),
        options.wall === undefined ? "SECRET" : "refused",
      );
    },
  );
}

inEachWall(
  "spawnModule() imports npm packages of Deno's cache with npmCache",
  async (options) => {
    await using root = await temporaryDirectory();
    const module = await writeModule(root.path, {
      "child.ts": sender(
        `import fc from "npm:fast-check@^4";`,
        "typeof fc.__version",
      ),
    });
    assertEquals(await hear(module, { npmCache: true, ...options }), [
      "string",
    ]);
    assertEquals(await hear(module, options), []);
  },
);

Deno.test("spawnModule() stores no compiled code where a module wants it", async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/module`;
  const up = `${directory}/d${"%2F..".repeat(20)}`;
  const url = `file://${up}${encode(`${directory}/evil.ts`)}`;
  const module = await writeModule(directory, {
    "evil.ts": `const a: number = 1; export default a;`,
    "child.ts": sender(
      "",
      `await (async (url) => (await import(url)).default)("${url}") ??
        await import("./evil.ts")`,
    ),
  });
  await Deno.mkdir(`${directory}/d`);
  const stored = () => existsSync(`${directory}/evil.ts.js`);
  assertEquals(await hear(module), ["1"]);
  assertEquals(stored(), false);

  assertEquals(await hear(module, { permissions: "inherit" }), ["1"]);
  assertEquals(stored(), true);
});

inEachWall(
  "spawnModule() refuses a permission broker that its caller has not named",
  async (options) => {
    await using root = await temporaryDirectory();
    await Deno.writeTextFile(`${root.path}/secret`, "SECRET");
    const path = `${root.path}/broker`;
    const listener = Deno.listen({ transport: "unix", path });
    const serving = allowAll(listener);
    const module = await writeModule(`${root.path}/module`, {
      "child.ts": sender("", `await Deno.readTextFile("${root.path}/secret")`),
    });
    const DENO_PERMISSION_BROKER_PATH = path;
    {
      using _ = setVariable("DENO_PERMISSION_BROKER_PATH", path);
      // Behind the second wall the variable is not there.
      const [message = "refused: "] = await hear(module, options);
      assertStringIncludes(message, "refused: ");
    }
    if (options.wall === undefined) {
      const env = { DENO_PERMISSION_BROKER_PATH };
      assertEquals(await hear(module, { env, ...options }), ["SECRET"]);
    }
    listener.close();
    await serving;
  },
);

/** A permission broker that allows everything. */
async function allowAll(listener: Deno.UnixListener): Promise<void> {
  const connections: Promise<void>[] = [];
  for await (const conn of listener) connections.push(allow(conn));
  await Promise.all(connections);
}

async function allow(conn: Deno.UnixConn): Promise<void> {
  const writer = conn.writable.getWriter();
  let rest = "";
  for await (
    const chunk of conn.readable.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { id } = JSON.parse(line);
      const answer = `${JSON.stringify({ id, result: "allow" })}\n`;
      await writer.write(new TextEncoder().encode(answer)).catch(() => {});
    }
  }
}

inEachWall(
  "spawnModule() gives a module pipes in place of the null device",
  async (options) => {
    await using root = await temporaryDirectory();
    const module = await writeModule(root.path, {
      "child.ts": sender(
        `import { fstatSync } from "node:fs";`,
        `[0, 1, 2].map((fd) => fstatSync(fd).mode & ${constants.S_IFMT})`,
      ),
    });
    const nulls = { stdin: "null", stdout: "null", stderr: "null" } as const;
    const { S_IFIFO } = constants;
    assertEquals(await hear(module, { ...nulls, ...options }), [
      [S_IFIFO, S_IFIFO, S_IFIFO].join(),
    ]);
  },
);

Deno.test("spawnModule() drops what a module prints to null outputs, and ends its input", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, {
    "child.ts": sender(
      "",
      `(console.log("x".repeat(200_000)), console.error("x".repeat(200_000)),
        await Deno.stdin.read(new Uint8Array(1)))`,
    ),
  });
  assertEquals(
    await hear(module, { stdin: "null", stdout: "null", stderr: "null" }),
    ["null"],
  );
});

inEachWall(
  "spawnModule() with a database that may be read: only a wall keeps SQLite from writing beside it",
  async (options) => {
    await using root = await temporaryDirectory();
    const data = `${root.path}/data`;
    await Deno.mkdir(data);
    {
      using database = new DatabaseSync(`${data}/w`);
      database.exec(
        "pragma journal_mode=wal; create table t(a); insert into t values('x')",
      );
    }
    await Deno.writeTextFile(`${data}/w-shm`, "precious");
    const module = await writeModule(`${root.path}/module`, {
      "child.ts": sender(
        `import { DatabaseSync } from "node:sqlite";`,
        `JSON.stringify(new DatabaseSync("${data}/w", { readOnly: true }).prepare("select * from t").all())`,
      ),
    });
    const permissions = { read: [data] };
    const [message] = await hear(module, { permissions, ...options });
    const kept = await Deno.readTextFile(`${data}/w-shm`) === "precious";
    // SECURITY.md speaks of it.
    assertEquals(kept, options.wall !== undefined, message);
  },
);
