import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath, pathToFileURL } from "node:url";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { json, text } from "../../channel.ts";
import { spawnModule } from "../../pair.ts";
import { runParent } from "./fixtures.ts";
import { noProcess } from "./replace.ts";
import {
  attack,
  battlefield,
  fixtures,
  hasBubblewrap,
  hear,
  httpServer,
  secret,
  secretPath,
  sender,
  temporaryDirectory,
  tree,
  type Walled,
  walls,
  writeModule,
} from "./sandbox.ts";

for (const [name, options] of Object.entries(walls)) {
  Deno.test({
    name: `spawnModule() refuses a child all but its own socket: ${name}`,
    ignore: options.wall !== undefined && !hasBubblewrap,
    fn: () => refuseAll(options),
  });
}

async function refuseAll(options: Walled) {
  await using field = await battlefield();
  const { targets, requests, sockets } = field;
  const modules = fileURLToPath(new URL("./", fixtures));
  const before = [await tree(targets.directory), await tree(modules)];

  const outcomes = await attack(
    { ...targets, remote: true },
    { directory: sockets, ...options },
  );

  assertEquals(
    outcomes.filter((outcome) => outcome.refused === undefined),
    [],
  );
  const npm = outcomes.find(({ name }) => name.startsWith("npm:"));
  assert(npm?.refused?.includes("--cached-only"), npm?.refused);
  assertEquals(requests, []);
  assertEquals([await tree(targets.directory), await tree(modules)], before);
  assertEquals(await tree(sockets), []);
}

Deno.test("spawnModule() refuses what a child could do without its sandbox", async () => {
  await using field = await battlefield();
  const { targets, sockets } = field;

  const outcomes = await attack(
    targets,
    { directory: sockets, permissions: "inherit" },
  );

  assertEquals(
    outcomes.filter((outcome) => outcome.refused !== undefined),
    [],
  );
});

for (const name of ["static_text", "static_json", "static_code"]) {
  Deno.test(`spawnModule() refuses ${name} while the child is loaded`, async () => {
    const child = new URL(`./${name}/child.ts`, fixtures);

    assertEquals(await hear(child), []);

    const messages = await hear(child, { permissions: "inherit" });
    assertEquals(messages.map((message) => message.trim()), [secret]);
  });
}

for (const name of ["literal_text", "literal_code"]) {
  Deno.test(`spawnModule() refuses ${name} while the child is loaded`, async () => {
    const child = new URL(`./${name}/child.ts`, fixtures);

    const [refused, ...more] = await hear(child);
    assert(refused?.includes("Requires read access"), refused);
    assertEquals(more, []);

    const messages = await hear(child, { permissions: "inherit" });
    assertEquals(messages.map((message) => message.trim()), [secret]);
  });
}

Deno.test("spawnModule() fetches no remote code while the child is loaded", async () => {
  await using root = await temporaryDirectory();
  await using http = httpServer();
  const remote = `http://127.0.0.1:${http.port}`;

  const fixed = await writeModule(`${root.path}/static`, {
    "child.ts": sender(`import "${remote}/static.js";`, "0"),
  });
  assertEquals(await hear(fixed), []);

  const literal = await writeModule(`${root.path}/literal`, {
    "child.ts": sender("", `(await import("${remote}/literal.js")).default`),
  });
  const [refused] = await hear(literal);
  assert(refused?.startsWith("refused: "), refused);

  assertEquals(http.requests, []);
});

Deno.test("spawnModule() lets a child import from a host, and send it nothing", async () => {
  await using root = await temporaryDirectory();
  await using http = httpServer();
  const host = `127.0.0.1:${http.port}`;
  const child = await writeModule(`${root.path}/child`, {
    "child.ts": sender(
      `const url = "http://${host}/?leak";`,
      `(await import(url, { with: { type: "text" } })).default`,
    ),
  });

  for (const net of [undefined, [], ["localhost:1"], ["unix:/nowhere"]]) {
    const [refused] = await hear(child, {
      permissions: { import: [host], ...net && { net } },
    });
    assert(refused?.startsWith("refused: "), refused);
  }
  assertEquals(http.requests, []);
});

Deno.test("spawnModule() lets a child send requests to the hosts of net, also where it imports from others", async () => {
  await using root = await temporaryDirectory();
  await using http = httpServer();
  const child = await writeModule(`${root.path}/child`, {
    "child.ts": sender(
      "",
      `(await fetch("http://localhost:${http.port}/granted")).status`,
    ),
  });

  const [status] = await hear(child, {
    permissions: { import: ["example.com"], net: [`localhost:${http.port}`] },
  });
  assertEquals(status, "200");
  assertEquals(http.requests, ["/granted"]);
});

Deno.test("spawnModule() has no child look for an update of Deno", async () => {
  await using root = await temporaryDirectory();
  const child = await writeModule(`${root.path}/child`, {
    "child.ts": sender("", `Deno.env.get("DENO_NO_UPDATE_CHECK")`),
  });
  const permissions = { env: ["DENO_NO_UPDATE_CHECK"] };
  assertEquals(await hear(child, { permissions }), ["1"]);
});

Deno.test("spawnModule() ignores the configuration beside the child", async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/hostile`;
  const scripts = Object.fromEntries(
    ["preinstall", "install", "postinstall", "prepare"].map((name) => [
      name,
      `echo ran > ${name}.ran`,
    ]),
  );
  const child = await writeModule(directory, {
    "child.ts": sender(
      "",
      `await (async (name) => (await import(name)).default)("mapped")`,
    ),
    "mapped.ts": `export default "mapped by the child's own deno.json";`,
    "deno.json": JSON.stringify({
      imports: { mapped: "./mapped.ts" },
      nodeModulesDir: "auto",
      vendor: true,
      allowScripts: true,
      lock: "./deno.lock",
      unstable: ["kv", "ffi", "worker-options"],
      permissions: { default: { all: true } },
    }),
    "package.json": JSON.stringify({
      name: "hostile",
      scripts,
      dependencies: { "fast-check": "^4.0.0" },
    }),
    "deno.lock": JSON.stringify({ version: "5" }),
    ".npmrc": "registry=http://127.0.0.1:1/\n",
    ".env": "SOCKETPAIR_PATH=/nowhere\n",
  });
  const before = await tree(root.path);

  for (const cwd of [directory, root.path]) {
    const [refused] = await hear(child, { cwd });
    assert(refused?.startsWith("refused: "), refused);
    assertEquals(await tree(root.path), before);
  }
});

Deno.test("spawnModule() writes no packages where its configuration lies", async () => {
  await using root = await temporaryDirectory();
  const config = `${root.path}/deno.json`;
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      nodeModulesDir: "auto",
      vendor: true,
      allowScripts: true,
      links: [fileURLToPath(new URL("../std", import.meta.url))],
      imports: {
        "@std/bytes": "jsr:@std/bytes@^1.0.0",
        "@std/streams": "jsr:@std/streams@^1.0.0",
      },
    }),
  );
  await Deno.writeTextFile(
    `${root.path}/package.json`,
    JSON.stringify({
      name: "parent",
      scripts: { postinstall: "echo ran > ran" },
      dependencies: { "fast-check": "^4.0.0" },
    }),
  );
  const child = await writeModule(`${root.path}/child`, {
    "child.ts": sender("", `"started"`),
  });
  const before = await tree(root.path);

  assertEquals(await hear(child, { denoArgs: ["--config", config] }), [
    "started",
  ]);
  assertEquals(await tree(root.path), before);
});

Deno.test("spawnModule() gives a child a storage of its own", async () => {
  localStorage.setItem("socketpair", secret);
  const cache = await caches.open("socketpair");
  await cache.put("http://localhost/secret", new Response(secret));
  try {
    await using child = await spawnModule(
      new URL("./storage/child.ts", fixtures),
      { serialization: json<(string | null)[]>() },
    );
    assertEquals(await child.channel.receive(), [null, null]);
  } finally {
    localStorage.removeItem("socketpair");
    await caches.delete("socketpair");
  }
});

// Deno finds compiled code by the path and a weak hash of a file: what is stored under the name
// of another could run in its place, in any process that loads it.
Deno.test("spawnModule() has a child store no compiled code under the name of another file", async () => {
  await using root = await temporaryDirectory();
  const victim = `${root.path}/victim.cjs`;
  const module = await writeModule(`${root.path}/child`, {
    "child.ts": sender(
      'import Module from "node:module";',
      `new Module(${JSON.stringify(victim)})
        // @ts-ignore: it is not in the types
        ._compile("exports.x = 1;", ${JSON.stringify(victim)})`,
    ),
  });
  const names = async (permissions: Deno.PermissionOptions) => {
    const directory = `${root.path}/${permissions}`;
    // Deno stores it the second time.
    for (let i = 0; i < 2; i++) {
      await using child = await spawnModule(module, {
        serialization: text(),
        permissions,
        env: { DENO_DIR: directory },
      });
      assertEquals(await child.channel.receive(), "undefined");
    }
    const path = `${directory}/v8_code_cache_v2`;
    if (!existsSync(path)) return [];
    using database = new DatabaseSync(path);
    return database.prepare("SELECT specifier FROM codecache").all()
      .map(({ specifier }) => specifier)
      .filter((specifier) => specifier === String(pathToFileURL(victim)));
  };
  assertEquals(await names("none"), []);
  assertEquals((await names("inherit")).length, 1);
});

Deno.test("spawnModule() leaves nothing of what a child has stored", async () => {
  await using root = await temporaryDirectory();
  await using modules = await temporaryDirectory();
  const child = await spawnModule(
    await writeModule(modules.path, {
      "child.ts": sender(
        "",
        `await (async () => {
          localStorage.setItem("taco", "cat");
          const cache = await caches.open("taco");
          await cache.put("http://localhost/", new Response("cat"));
        })()`,
      ) + "\nawait channel.receive();",
    }),
    { serialization: text(), directory: root.path },
  );
  assertEquals(await child.channel.receive(), "undefined");
  const stored = (await tree(root.path)).filter((path) =>
    path.includes("/location_data/")
  );
  assert(stored.length > 4);
  await child.close();
  assertEquals(await tree(root.path), []);
});

Deno.test("spawnModule() resolves a string against the parent's directory", async () => {
  await using root = await temporaryDirectory();
  const child = await writeModule(`${root.path}/child`, {
    "child.ts": sender("", `Deno.cwd()`),
  });
  const up = Deno.cwd().split("/").fill("..").join("/");

  assertEquals(
    await hear(`${up}${fileURLToPath(child)}`, { cwd: root.path }),
    [root.path],
  );
});

Deno.test("spawnModule() says when there is no such module, and starts no process", async () => {
  await using root = await temporaryDirectory();
  await Deno.symlink(`${root.path}/nowhere`, `${root.path}/link.ts`);
  using _ = noProcess();
  for (const name of ["missing.ts", "no/such/place.ts", "link.ts"]) {
    const path = `${root.path}/${name}`;
    for (const specifier of [path, new URL(`file://${path}`)]) {
      for (
        const options of [
          {},
          { permissions: "inherit" },
          { transport: "stdio" },
        ] as const
      ) {
        await assertRejects(
          () => spawnModule(specifier, options),
          Deno.errors.NotFound,
          `Cannot spawn module: there is no file ${path}`,
        );
      }
    }
  }
});

Deno.test("spawnModule() keeps a child from the parent's telemetry", async () => {
  await using http = httpServer();

  const { code, stderr } = await runParent("telemetry.ts", [], {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${http.port}`,
    },
  });
  assertEquals(code, 0, stderr);

  assertEquals(http.requests, []);
});
Deno.test("spawnModule() lets a child import each part of the package", async () => {
  await using root = await temporaryDirectory();
  const package_ = new URL("../../", import.meta.url);
  const { exports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", package_)),
  );
  // sandboxed.ts is a program.
  const parts = Object.values<string>(exports)
    .filter((path) => path !== "./sandboxed.ts");
  const child = await writeModule(root.path, {
    "child.ts": sender(
      parts.map((path) => `import "${new URL(path, package_)}";`).join("\n"),
      `"imported"`,
    ),
  });
  assertEquals(await hear(child), ["imported"]);
});

Deno.test("spawnModule() over stdio runs a child in the same sandbox", async () => {
  await using root = await temporaryDirectory();
  const code = sender(
    "",
    `await Deno.readTextFile(${JSON.stringify(secretPath)})`,
  ).replace("text()", `text(), transport: "stdio"`);
  const child = await writeModule(root.path, { "child.ts": code });

  const [refused] = await hear(child, { transport: "stdio" });
  assert(refused?.includes("Requires read access"), refused);

  await Deno.symlink(secretPath, `${root.path}/link`);
  assertEquals(await hear(child, { transport: "stdio" }).catch(() => []), []);
});
