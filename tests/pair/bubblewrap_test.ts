import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import { text } from "../../channel.ts";
import { ExitError, spawnModule } from "../../pair.ts";
import { runParent } from "./fixtures.ts";

import {
  hasBubblewrap,
  hear,
  sender,
  temporaryDirectory,
  writeModule,
} from "./sandbox.ts";
import { setVariable } from "./replace.ts";
import { isRoot } from "./stage.ts";

const wall = "bubblewrap";

function test(name: string, fn: () => Promise<void>, ignore = false) {
  Deno.test({ name, ignore: ignore || !hasBubblewrap, fn });
}

const NOBODY = 65534;

/** Whether another user can run this Deno and read this package: neither lies in the home of root. */
function isOpenToOthers(): boolean {
  if (!isRoot) return false;
  const { success } = new Deno.Command("sh", {
    args: [
      "-c",
      'test -x "$0" && test -r "$1"',
      Deno.execPath(),
      fileURLToPath(new URL("../../mod.ts", import.meta.url)),
    ],
    uid: NOBODY,
    gid: NOBODY,
  }).outputSync();
  return success;
}

/** A child that obeys: it says "ready", and then runs code. */
function obedient(code: string): string {
  return sender("", `"ready"`).replace(/$/, `\n${code}`);
}

async function start(code: string, options = {}) {
  const root = await temporaryDirectory();
  const module = await writeModule(root.path, { "child.ts": obedient(code) });
  const child = await spawnModule(module, {
    serialization: text(),
    wall,
    stderr: "null",
    ...options,
  });
  assertEquals(await child.channel.receive(), "ready");
  await root[Symbol.asyncDispose]();
  return child;
}

test("spawnModule() behind bubblewrap reports the exit code of the module", async () => {
  await using child = await start("Deno.exit(5);");
  const error = await assertRejects(() => child.channel.receive(), ExitError);
  assertEquals(error.status.code, 5);
  assertEquals((await child.status).code, 5);
});

const signals: Deno.Signal[] = ["SIGTERM", "SIGINT", "SIGUSR1", "SIGKILL"];
for (const signal of signals) {
  test(`Child.kill() with ${signal} ends a busy module behind bubblewrap`, async () => {
    await using child = await start(
      `await channel.send("busy"); await channel.flush(); for (;;);`,
    );
    assertEquals(await child.channel.receive(), "busy");
    child.kill(signal);
    const status = await child.status;
    assertEquals([status.signal, status.success], [signal, false]);
  });
}

for (const detached of [false, true]) {
  test(`Child.kill() reaches a handler behind bubblewrap, detached: ${detached}`, async () => {
    await using child = await start(
      `Deno.addSignalListener("SIGTERM", async () => {
        await channel.send("SIGTERM");
        await channel.flush();
        Deno.exit(3);
      });
      await channel.send("handles");
      await channel.receive();`,
      { detached },
    );
    assertEquals(await child.channel.receive(), "handles");
    child.kill("SIGTERM");
    assertEquals(await child.channel.receive(), "SIGTERM");
    assertEquals((await child.status).code, 3);
  });
}

test("Child.close() ends a module behind bubblewrap that does not end itself", async () => {
  await using child = await start("for (;;);", { gracePeriod: 500 });
  assertEquals((await child.close()).signal, "SIGTERM");
});

test("spawnModule() behind bubblewrap takes stdio as transport, and a launcher", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, {
    "child.ts": sender("", `Deno.env.get("SOCKETPAIR_TEST")`)
      .replace("text()", `text(), transport: "stdio"`),
  });
  assertEquals(
    await hear(module, {
      wall,
      transport: "stdio",
      launcher: ["env", "SOCKETPAIR_TEST=launched"],
      permissions: { env: ["SOCKETPAIR_TEST"] },
    }),
    ["launched"],
  );
  await assertRejects(
    () => spawnModule(module, { wall, transport: "tcp" }),
    TypeError,
  );
});

test(
  "spawnModule() behind bubblewrap runs a module as another user",
  async () => {
    await using root = await temporaryDirectory();
    await Deno.chmod(root.path, 0o755);
    const module = await writeModule(root.path, {
      "child.ts": sender("", "Deno.uid()"),
    });
    const permissions = { sys: ["uid"] };
    assertEquals(
      await hear(module, { wall, uid: NOBODY, gid: NOBODY, permissions }),
      [String(NOBODY)],
    );
  },
  !isOpenToOthers(),
);

test("spawnModule() behind bubblewrap shows what is granted, and nothing else", async () => {
  await using root = await temporaryDirectory();
  const { path } = root;
  await Deno.mkdir(`${path}/in`);
  await Deno.mkdir(`${path}/out`);
  await Deno.writeTextFile(`${path}/in/file`, "granted");
  await Deno.writeTextFile(`${path}/out/old`, "");
  // A link that leads out needs no look: there is nothing where it leads.
  await Deno.symlink("/etc/passwd", `${path}/in/link`);
  const code = (expression: string) =>
    writeModule(`${path}/module`, { "child.ts": sender("", expression) });
  const permissions = { read: [`${path}/in`], write: [`${path}/out`] };

  const attempts = {
    [`Deno.readTextFileSync("${path}/in/file")`]: "granted",
    [`Deno.writeTextFileSync("${path}/out/new", "")`]: "undefined",
    [`Deno.readTextFileSync("${path}/in/link")`]: "refused",
  };
  for (const [attempt, expected] of Object.entries(attempts)) {
    const [message] = await hear(await code(attempt), { wall, permissions });
    assertEquals(message?.replace(/:.*/s, ""), expected);
  }
  assertEquals(await Deno.readTextFile(`${path}/out/new`), "");
  // Deno allows it, and the wall does not.
  const granted = { read: [path], write: [`${path}/none`] };
  await assertRejects(
    () =>
      spawnModule(`${path}/module/child.ts`, { wall, permissions: granted }),
    Deno.errors.NotFound,
    "behind the wall",
  );
});

test("spawnModule() behind bubblewrap has a network only where net grants some", async () => {
  await using root = await temporaryDirectory();
  const names =
    `[...new Set(Deno.networkInterfaces().map(({ name }) => name))]`;
  const module = await writeModule(root.path, {
    "child.ts": sender("", names),
  });
  const sys = ["networkInterfaces"];
  const net = ["example.com"];
  assertEquals(
    await hear(module, { wall, permissions: { sys, net } }),
    [[...new Set(Deno.networkInterfaces().map(({ name }) => name))].join()],
  );
  for (const net of [[], ["unix:/nowhere"]]) {
    assertEquals(await hear(module, { wall, permissions: { sys, net } }), [
      "lo",
    ]);
  }
});

/** What a shell behind the wall says. */
async function shell(script: string, permissions = {}, options = {}) {
  await using root = await temporaryDirectory();
  const run = `new TextDecoder().decode(new Deno.Command("/bin/sh", {
    args: ["-c", ${JSON.stringify(script)}], stdin: "null", stderr: "null",
  }).outputSync().stdout)`;
  const module = await writeModule(root.path, { "child.ts": sender("", run) });
  const [message] = await hear(module, {
    wall,
    permissions: { run: ["/bin/sh"], read: ["/"], ...permissions },
    ...options,
  });
  return message;
}

test("spawnModule() behind bubblewrap lets nobody write settings of the system, or make namespaces", async () => {
  const attempts = {
    "[ -w /proc/sys/vm/overcommit_memory ]": "refused\n",
    ": >/dev/new": "refused\n",
    "unshare -U true": "refused\n",
    ": >/dev/shm/new": "done\n",
  };
  for (const [attempt, expected] of Object.entries(attempts)) {
    const script = `if (${attempt}); then echo done; else echo refused; fi`;
    assertEquals(await shell(script), expected, attempt);
  }
});

test("spawnModule() behind bubblewrap shows only variables that are granted", async () => {
  using _ = setVariable("SOCKETPAIR_SECRET", "SECRET");
  using _shown = setVariable("SOCKETPAIR_SHOWN", "shown");
  const script =
    "cat /proc/*/environ /proc/self/environ | grep -ao '=S[E]CRET\\|=s[h]own' | sort -u";
  const grant = { env: ["SOCKETPAIR_SHOWN"] };
  assertEquals(await shell(script, grant), "=shown\n");
  assertEquals(await shell(script, { env: true }), "=SECRET\n=shown\n");
});

test("spawnModule() behind bubblewrap shows a module with a network certificates, but no keys", async () => {
  const read = ["/bin", "/lib", "/lib64", "/usr"];
  const script = "ls -d /etc/ssl/*";
  assertEquals(
    await shell(script, { read, net: ["example.com"] }),
    "/etc/ssl/certs\n",
  );
  assertStringIncludes(await shell(script) ?? "", "/etc/ssl/private\n");
});

test("spawnModule() behind bubblewrap lets a module write everywhere that is granted", async () => {
  await using root = await temporaryDirectory();
  const path = `${root.path}/new`;
  const module = await writeModule(`${root.path}/module`, {
    "child.ts": sender("", `Deno.writeTextFileSync("${path}", "new")`),
  });
  for (const write of [true as const, ["/"]]) {
    assertEquals(await hear(module, { wall, permissions: { write } }), [
      "undefined",
    ]);
    assertEquals(await Deno.readTextFile(path), "new");
    await Deno.remove(path);
  }
});

test("spawnModule() behind bubblewrap keeps no more than 64 MiB for a module", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, {
    "child.ts": sender(
      "",
      `await (async () => {
        const cache = await caches.open("x");
        for (let i = 0; i < 10; i++) {
          await cache.put("http://x/" + i, new Response(new Uint8Array(10 << 20)));
        }
      })()`,
    ),
  });
  const [message] = await hear(module, { wall });
  assertEquals(message?.replace(/:.*/s, ""), "refused");
});

test("spawnModule() behind bubblewrap runs no bwrap of the current directory", async () => {
  await using root = await temporaryDirectory();
  const script = `#!/bin/sh\ntouch ${root.path}/fake\n`;
  await Deno.writeTextFile(`${root.path}/bwrap`, script, { mode: 0o755 });
  const module = await writeModule(root.path, { "child.ts": sender("", "1") });
  using _ = setVariable("PATH", `:${Deno.env.get("PATH")}`);
  for (const options of [{}, { launcher: ["env"] }]) {
    const started = { wall, cwd: root.path, ...options } as const;
    assertEquals(await hear(module, started), ["1"]);
    const env = { PATH: root.path };
    if (!("launcher" in options)) {
      assertEquals(await hear(module, { env, ...started }), ["1"]);
    }
  }
  await assertRejects(
    () => Deno.stat(`${root.path}/fake`),
    Deno.errors.NotFound,
  );
});

test("spawnModule() behind bubblewrap refuses links that a module that writes could make", async () => {
  await using root = await temporaryDirectory();
  const { path } = root;
  await Deno.mkdir(`${path}/data/sub`, { recursive: true });
  await Deno.mkdir(`${path}/private`);
  await Deno.writeTextFile(`${path}/private/key`, "SECRET");
  await Deno.symlink(`${path}/data`, `${path}/alias`);
  await Deno.symlink(`${path}/private/key`, `${path}/data/conf`);
  const data = `${path}/data`;
  const module = (file: string) =>
    writeModule(`${path}/module`, {
      "child.ts": sender("", `await Deno.readTextFile("${file}")`),
    });
  // What the module replaced in an earlier start, under another name.
  const aliased = { write: [data], read: [`${path}/alias/conf`] };
  const url = await module(`${path}/alias/conf`);
  await assertRejects(
    () => spawnModule(url, { wall, permissions: aliased }),
    Deno.errors.NotCapable,
    `use "${path}/private/key"`,
  );
  const unaliased = { read: [`${path}/alias/conf`] };
  assertEquals(await hear(url, { wall, permissions: unaliased }), ["SECRET"]);

  // The same within what it may write.
  await Deno.remove(`${data}/sub`);
  await Deno.symlink("../private", `${data}/sub`);
  const nested = { write: [data, `${data}/sub`], read: [data] };
  const [message] = await hear(await module(`${data}/sub/key`), {
    wall,
    permissions: nested,
  });
  assertEquals(message?.replace(/:.*/s, ""), "refused");
});

test("spawnModule() behind bubblewrap grants writing within what may be read", async () => {
  await using root = await temporaryDirectory();
  await Deno.mkdir(`${root.path}/out`);
  const path = `${root.path}/out/new`;
  const module = await writeModule(`${root.path}/module`, {
    "child.ts": sender("", `Deno.writeTextFileSync("${path}", "")`),
  });
  const permissions = { read: [root.path], write: [`${root.path}/out`] };
  assertEquals(await hear(module, { wall, permissions }), ["undefined"]);
});

test("spawnModule() behind bubblewrap runs a module in /dev/shm", async () => {
  const path = await Deno.makeTempDir({ dir: "/dev/shm" });
  const module = await writeModule(path, {
    "child.ts": sender("", `"started"`),
  });
  for (const read of [[path], true as const]) {
    assertEquals(await hear(module, { wall, permissions: { read } }), [
      "started",
    ]);
  }
  await Deno.remove(path, { recursive: true });
});

test("Child.kill() reaches a handler behind bubblewrap with a signal that shells do not know", async () => {
  await using child = await start(
    `Deno.addSignalListener("SIGSTKFLT", () => Deno.exit(3));
    await channel.send("handles");
    await channel.receive();`,
  );
  assertEquals(await child.channel.receive(), "handles");
  child.kill("SIGSTKFLT");
  assertEquals((await child.status).code, 3);
});

test("spawnModule() rejects with NotSupported without bwrap, and starts nothing", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, { "child.ts": "" });
  const { stdout, stderr } = await runParent("walled.ts", [module.href], {
    env: { PATH: root.path },
  });
  assertEquals(stdout, "NotSupported: there is no program bwrap\n", stderr);
});

test("spawnModule() behind bubblewrap ends a busy module with its parent", async () => {
  await using root = await temporaryDirectory();
  const module = await writeModule(root.path, {
    "child.ts": obedient("for (;;);"),
  });
  const parent = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      new URL("./parents/walled.ts", import.meta.url).pathname,
      module.href,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = parent.stdout.getReader();
  assertEquals(
    new TextDecoder().decode((await reader.read()).value),
    "ready\n",
  );
  parent.kill("SIGKILL");
  // The module has the same output: it ends when both have.
  assert((await reader.read()).done);
  await parent.status;
});
