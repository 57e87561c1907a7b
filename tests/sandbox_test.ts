import { assert, assertEquals, assertRejects } from "@std/assert";
import { json, text } from "../channel.ts";
import { ConnectError, spawnModule, type SpawnModuleOptions } from "../pair.ts";
import type { Outcome, Targets } from "./sandbox/attacks/child.ts";

const fixtures = new URL("./sandbox/", import.meta.url);
const secretPath = new URL("./secret/secret.txt", fixtures).pathname;
const secret = "a secret beside the sandbox";
const pairUrl = new URL("../pair.ts", import.meta.url).href;
const channelUrl = new URL("../channel.ts", import.meta.url).href;

/** A new directory, gone at the end of the block. */
async function temporaryDirectory(): Promise<
  AsyncDisposable & { path: string }
> {
  const path = await Deno.realPath(await Deno.makeTempDir());
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** An HTTP server on 127.0.0.1 that counts who comes. */
function httpServer(): AsyncDisposable & { port: number; requests: string[] } {
  const requests: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      requests.push(new URL(request.url).pathname);
      return request.headers.get("upgrade") === "websocket"
        ? Deno.upgradeWebSocket(request).response
        : new Response("export default 1;", {
          headers: { "content-type": "text/javascript" },
        });
    },
  );
  return {
    port: server.addr.port,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** All that lies below a directory, with the contents of its files. */
async function tree(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) found.push(`${path}/`, ...await tree(path));
    else if (entry.isFile) {
      found.push(`${path} ${await Deno.readTextFile(path)}`);
    } else found.push(path);
  }
  return found.sort();
}

/** Write the files of a module, and give the URL of the module itself. */
async function writeModule(
  directory: string,
  files: Record<string, string>,
): Promise<URL> {
  await Deno.mkdir(directory, { recursive: true });
  for (const [name, contents] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, contents);
  }
  return new URL(`file://${encodeURI(directory)}/child.ts`);
}

/** A module that sends, as text, what some code gives it, or why it was refused. */
function sender(imports: string, expression: string): string {
  return `${imports}
import { connectToParent } from ${JSON.stringify(pairUrl)};
import { text } from ${JSON.stringify(channelUrl)};
await using channel = await connectToParent({ serialization: text() });
try {
  await channel.send(String(${expression}));
} catch (error) {
  await channel.send("refused: " + error);
}`;
}

/** What a module has to say before it ends; nothing if it does not even start. */
async function hear(
  specifier: string | URL,
  options: SpawnModuleOptions<string> = {},
): Promise<string[]> {
  try {
    await using child = await spawnModule(specifier, {
      serialization: text(),
      stderr: "null",
      ...options,
    });
    return await Array.fromAsync(child.channel);
  } catch (error) {
    if (error instanceof ConnectError) return [];
    throw error;
  }
}

/** Run all attacks of `sandbox/attacks`. */
async function attack(
  targets: Targets,
  options: SpawnModuleOptions<Outcome[] | Targets>,
): Promise<Outcome[]> {
  await using child = await spawnModule(
    new URL("./attacks/child.ts", fixtures),
    {
      serialization: json(),
      stdout: "null",
      stderr: "null",
      denoArgs: ["--unstable-worker-options", "--unstable-raw-imports"],
      ...options,
    },
  );
  await child.channel.send(targets);
  const outcomes = await child.channel.receive();
  assert(
    Array.isArray(outcomes),
    "The child died before its attacks were over",
  );
  return outcomes;
}

/** Give attacks something to attack: an HTTP server, another socket, files. */
async function battlefield(): Promise<
  AsyncDisposable & { targets: Targets; requests: string[]; sockets: string }
> {
  await using resources = new AsyncDisposableStack();
  const root = resources.use(await temporaryDirectory());
  const http = resources.use(httpServer());
  const directory = `${root.path}/watched`;
  const sockets = `${root.path}/sockets`;
  const socket = `${root.path}/other`;
  await Deno.mkdir(directory);
  await Deno.mkdir(sockets);
  await Deno.writeTextFile(`${directory}/victim`, "victim");
  await Deno.writeTextFile(`${directory}/victim2`, "victim");
  const server = Deno.serve(
    { path: socket, onListen: () => {} },
    () => {
      http.requests.push("the other socket");
      return new Response();
    },
  );
  resources.defer(() => server.shutdown());
  const owned = resources.move();
  return {
    targets: {
      secret: secretPath,
      directory,
      socket,
      port: http.port,
      variable: "PATH",
      remote: false,
    },
    requests: http.requests,
    sockets,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

Deno.test("spawnModule() refuses a child all but its own socket", async () => {
  await using field = await battlefield();
  const { targets, requests, sockets } = field;
  const modules = new URL("./", fixtures).pathname;
  const before = [await tree(targets.directory), await tree(modules)];

  const outcomes = await attack(
    { ...targets, remote: true },
    { directory: sockets },
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
});

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

  for (const net of [undefined, []]) {
    const [refused] = await hear(child, {
      permissions: { import: [host], ...net && { net } },
    });
    assert(refused?.startsWith("refused: "), refused);
  }
  assertEquals(http.requests, []);
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
      links: [new URL("./std", import.meta.url).pathname],
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

Deno.test("spawnModule() refuses a directory with a link that leads out of it", async () => {
  await using root = await temporaryDirectory();
  const links = {
    "file.txt": secretPath,
    "directory": new URL("./secret", fixtures).pathname,
    "environment.txt": "/proc/self/environ",
    "parent": "..",
    "dangling": `${root.path}/later`,
  };

  for (const [name, target] of Object.entries(links)) {
    const directory = `${root.path}/${name}`;
    const child = await writeModule(directory, {
      "child.ts": sender("", `"started"`),
    });
    await Deno.mkdir(`${directory}/deeper`);
    await Deno.symlink(target, `${directory}/deeper/${name}`);
    // ".." from a directory deeper still leads to the child's own directory.
    assertEquals(await hear(child), name === "parent" ? ["started"] : [], name);
  }
});

Deno.test("spawnModule() runs a child with links inside of its directory", async () => {
  await using root = await temporaryDirectory();
  const child = await writeModule(`${root.path}/child`, {
    "child.ts": sender(
      "",
      `Deno.readTextFileSync(import.meta.dirname + "/link")`,
    ),
    "file.txt": "linked",
  });
  await Deno.symlink("file.txt", `${root.path}/child/link`);
  // The directory itself may be reached by a link.
  await Deno.symlink(`${root.path}/child`, `${root.path}/alias`);

  assertEquals(await hear(child), ["linked"]);
  assertEquals(await hear(`${root.path}/alias/child.ts`), ["linked"]);
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

/** The states of permissions in a child, in order. */
async function query(
  permissions: Deno.PermissionOptions,
  descriptors: Deno.PermissionDescriptor[],
  options: SpawnModuleOptions<
    Deno.PermissionDescriptor | Deno.PermissionState
  > = {},
): Promise<string[]> {
  await using child = await spawnModule(
    new URL("./probe/child.ts", fixtures),
    {
      permissions,
      serialization: json<Deno.PermissionDescriptor | Deno.PermissionState>(),
      ...options,
    },
  );
  const states: string[] = [];
  for (const descriptor of descriptors) {
    await child.channel.send(descriptor);
    states.push(String(await child.channel.receive()));
  }
  return states;
}

Deno.test("spawnModule() grants what an object of permissions says, and no more", async () => {
  await using root = await temporaryDirectory();
  const spaced = `${root.path}/with some spaces`;

  const states = await query(
    {
      read: [spaced, new URL(`file://${root.path}/url`)],
      write: [spaced],
      net: ["127.0.0.1:65000"],
      env: ["SOCKETPAIR_TEST"],
      sys: ["hostname"],
      run: ["socketpair-test"],
    },
    [
      { name: "read", path: spaced },
      { name: "read", path: `${root.path}/url/file` },
      { name: "write", path: spaced },
      { name: "net", host: "127.0.0.1:65000" },
      { name: "env", variable: "SOCKETPAIR_TEST" },
      { name: "sys", kind: "hostname" },

      { name: "read", path: root.path },
      { name: "read", path: `${root.path}/with` },
      { name: "write", path: root.path },
      { name: "write", path: `${root.path}/url` },
      { name: "net", host: "127.0.0.1:65001" },
      { name: "env", variable: "HOME" },
      { name: "sys", kind: "osRelease" },
      { name: "run", command: "sh" },
      { name: "ffi" },
    ],
  );

  assertEquals(states, [
    ...new Array(6).fill("granted"),
    ...new Array(9).fill("prompt"),
  ]);
});

Deno.test("spawnModule() grants a whole kind of permission, and no other", async () => {
  const names = ["read", "write", "net", "env", "sys", "run", "ffi"] as const;
  for (const granted of names) {
    assertEquals(
      await query({ [granted]: true }, names.map((name) => ({ name }))),
      names.map((name) => name === granted ? "granted" : "prompt"),
    );
  }
});

Deno.test("spawnModule() keeps grants that the child's own socket lies in", async () => {
  await using root = await temporaryDirectory();
  const path = root.path;

  assertEquals(
    await query(
      { read: [path], write: [path] },
      [{ name: "read", path }, { name: "write", path }],
      { directory: path },
    ),
    ["granted", "granted"],
  );
  assertEquals(
    await query(
      { net: ["127.0.0.1"] },
      [{ name: "net", host: "127.0.0.1" }],
      { transport: "tcp" },
    ),
    ["granted"],
  );
});

Deno.test("spawnModule() makes sockets in the child's own directory", async () => {
  await using root = await temporaryDirectory();
  const child = await writeModule(root.path, {
    "child.ts": sender("", `await Deno.readTextFile(import.meta.filename)`),
  });

  assertEquals(
    await hear(child, { directory: root.path }),
    [await Deno.readTextFile(child)],
  );
});

Deno.test("spawnModule() throws TypeError for a path with a comma", async () => {
  const child = new URL("./probe/child.ts", fixtures);
  await assertRejects(
    () => spawnModule(child, { permissions: { read: ["/tmp/one,/etc"] } }),
    TypeError,
  );
  await assertRejects(
    () => spawnModule(child, { permissions: { write: ["/tmp/one,/etc"] } }),
    TypeError,
  );
  await assertRejects(
    () => spawnModule("/tmp/one,/etc/child.ts"),
    TypeError,
  );
});

Deno.test("spawnModule() throws TypeError for -A in denoArgs", async () => {
  const child = new URL("./probe/child.ts", fixtures);
  for (const flag of ["-A", "--allow-all"]) {
    await assertRejects(
      () => spawnModule(child, { denoArgs: [flag] }),
      TypeError,
    );
  }
});

Deno.test("spawnModule() resolves a string against the parent's directory", async () => {
  await using root = await temporaryDirectory();
  const child = await writeModule(`${root.path}/child`, {
    "child.ts": sender("", `Deno.cwd()`),
  });
  const up = Deno.cwd().split("/").fill("..").join("/");

  assertEquals(
    await hear(`${up}${child.pathname}`, { cwd: root.path }),
    [root.path],
  );
});

/** Run a parent of `sandbox/parents` with some flags, and give what it prints. */
async function runParent(
  name: string,
  flags: string[],
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      ...flags,
      new URL(`./parents/${name}.ts`, fixtures).pathname,
      ...args,
    ],
    env,
    stderr: "inherit",
  }).output();
  assertEquals(code, 0);
  return new TextDecoder().decode(stdout);
}

const repository = new URL("../", import.meta.url).pathname;

for (const how of ["inherit", "each"]) {
  Deno.test(`spawnModule() lets a child inherit (${how}) only what its parent holds in full`, async () => {
    await using root = await temporaryDirectory();

    const states = await runParent(
      "probe",
      [
        `--allow-read=${root.path},${repository}`,
        `--allow-write=${root.path}`,
        "--allow-net",
        "--allow-run",
        "--allow-sys",
        "--allow-env=HOME",
      ],
      [how, root.path],
    );

    const { read, write, net, env, run, sys, ffi } = JSON.parse(states);
    assertEquals({ read, write, net, env, run, sys, ffi }, {
      read: "prompt",
      write: "prompt",
      net: "granted",
      env: "prompt",
      run: "granted",
      sys: "granted",
      ffi: "prompt",
    });
    assertEquals(await tree(root.path), []);
  });
}

Deno.test("spawnModule() works in a parent with the least permissions", async () => {
  await using root = await temporaryDirectory();

  const states = await runParent(
    "probe",
    [
      // The configuration, for what the module under test imports itself.
      `--allow-read=${root.path},${repository}deno.json`,
      `--allow-write=${root.path}`,
      "--allow-net",
      "--allow-run",
    ],
    ["none", root.path],
  );

  assertEquals(
    Object.entries(JSON.parse(states)).filter(([_, state]) =>
      state === "granted"
    ),
    [],
  );
  assertEquals(await tree(root.path), []);
});

Deno.test("spawnModule() keeps a child from the parent's telemetry", async () => {
  await using http = httpServer();

  await runParent("telemetry", ["-A"], [], {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${http.port}`,
  });

  assertEquals(http.requests, []);
});
