import { fileURLToPath } from "node:url";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { json } from "../../channel.ts";
import { spawnModule, type SpawnModuleOptions } from "../../pair.ts";
import { runParent } from "./fixtures.ts";
import { py, python } from "./python.ts";
import {
  fixtures,
  hear,
  sender,
  temporaryDirectory,
  tree,
  writeModule,
} from "./sandbox.ts";
import { Stage, test } from "./stage.ts";

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

/** The states of permissions in a child, in order. */
async function query(
  permissions: Deno.PermissionOptions,
  descriptors: Deno.PermissionDescriptor[],
  options: Omit<SpawnModuleOptions, "serialization"> = {},
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
      { read: true, write: true },
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

Deno.test("spawnModule() makes no cache where the module may read or write", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(`${root.path}/module`, {
    "child.ts": "",
  });
  const directory = `${root.path}/cache`;
  await Deno.mkdir(directory);
  for (const name of ["read", "write"]) {
    for (const path of [root.path, directory]) {
      const permissions = { [name]: [path] };
      await assertRejects(
        () => spawnModule(module, { permissions, directory }),
        Deno.errors.NotCapable,
        "name another directory",
      );
    }
  }
  assertEquals(await Array.fromAsync(Deno.readDir(directory)), []);
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
  await using root = await temporaryDirectory();
  const child = new URL("./probe/child.ts", fixtures);
  const module = await writeModule(`${root.path}/one,two`, { "child.ts": "" });
  await assertRejects(
    () => spawnModule(child, { permissions: { read: ["/tmp/one,/etc"] } }),
    TypeError,
  );
  await assertRejects(
    () => spawnModule(child, { permissions: { write: ["/tmp/one,/etc"] } }),
    TypeError,
  );
  await assertRejects(
    () => spawnModule(module, { directory: root.path }),
    TypeError,
  );
  assertEquals(await tree(root.path), [
    `${root.path}/one,two/`,
    `${root.path}/one,two/child.ts `,
  ]);
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

const repository = fileURLToPath(new URL("../../", import.meta.url));

for (const how of ["inherit", "each"]) {
  Deno.test(`spawnModule() lets a child inherit (${how}) only what its parent holds in full`, async () => {
    await using root = await temporaryDirectory();

    const { code, stdout, stderr } = await runParent(
      "probe.ts",
      [how, root.path],
      {
        flags: [
          `--allow-read=${root.path},${repository}`,
          `--allow-write=${root.path}`,
          "--allow-net",
          "--allow-run",
          "--allow-sys",
          "--allow-env=HOME",
        ],
      },
    );
    assertEquals(code, 0, stderr);

    const { read, write, net, env, run, sys, ffi } = JSON.parse(stdout);
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

  const { code, stdout, stderr } = await runParent(
    "probe.ts",
    ["none", root.path],
    {
      flags: [
        // The directory of the module, and the configuration for what it imports.
        `--allow-read=${root.path},${repository}deno.json,${
          fileURLToPath(new URL("./probe", fixtures))
        }`,
        `--allow-write=${root.path}`,
        "--allow-net",
        "--allow-run",
      ],
    },
  );
  assertEquals(code, 0, stderr);

  assertEquals(
    Object.entries(JSON.parse(stdout)).filter(([_, state]) =>
      state === "granted"
    ),
    [],
  );
  assertEquals(await tree(root.path), []);
});

test("spawnModule() runs a module with a comma in a name if its directory is granted", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, {
    "a,b.js": `export default "read";`,
    "child.ts": sender(`import x from "./a,b.js";`, "x"),
  });
  const permissions = { read: [root.path] };
  assertEquals(await hear(module, { permissions }), ["read"]);
});
