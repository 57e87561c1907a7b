/**
 * A child that tries to do, one after the other, what a sandbox forbids, and tells
 * its parent what became of each.
 *
 * Run without a sandbox every one of these succeeds: that is how the test knows that
 * a refusal is the sandbox's, and not a mistake in the attack.
 */
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import {
  copyFileSync,
  cpSync,
  existsSync,
  openSync,
  readFileSync,
} from "node:fs";
import { Session } from "node:inspector";
import { createRequire, registerHooks } from "node:module";
import { connect } from "node:net";
import { hostname } from "node:os";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { setHeapSnapshotNearHeapLimit, writeHeapSnapshot } from "node:v8";
import { WASI } from "node:wasi";
import { Worker as NodeWorker } from "node:worker_threads";
import { connectToParent } from "../../../../pair.ts";
import { json } from "../../../../channel.ts";

/** What there is to attack: the parent has made it, and tells where it is. */
export interface Targets {
  /** A file outside of the child's directory; `.json` and `.ts` lie beside it. */
  secret: string;
  /** A directory that the parent watches. */
  directory: string;
  /** A Unix socket that is not the child's own. */
  socket: string;
  /** A port of 127.0.0.1 where the parent answers HTTP. */
  port: number;
  /** A variable of the environment. */
  variable: string;
  /** Whether to try what would leave its answer in Deno's cache if it succeeded. */
  remote: boolean;
}

/** What became of an attack: `refused` is why, and absent if it succeeded. */
export interface Outcome {
  name: string;
  refused?: string;
}

type Attack = (targets: Targets) => unknown;

/** Where the own socket is: from the environment, or from what the start has left behind. */
function findOwnPath(): string | undefined {
  for (const key of Object.getOwnPropertySymbols(globalThis)) {
    let value: unknown = globalThis;
    for (const name of [key, "conn", "remoteAddr", "path"]) {
      value = typeof value === "object" && value !== null
        ? Reflect.get(value, name)
        : undefined;
    }
    if (typeof value === "string") return value;
  }
  try {
    return Deno.env.get("SOCKETPAIR_PATH");
  } catch {
    return undefined;
  }
}
const ownPath = findOwnPath();

/** Import what Deno cannot know before it runs. */
function load(
  specifier: string,
  type?: "text" | "bytes" | "json",
): Promise<Record<string, unknown>> {
  return type === undefined
    ? import(specifier)
    : import(specifier, { with: { type } });
}

function dataUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

function blobUrl(code: string): string {
  return URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
}

/** Run code in a worker: an exception there is one here. */
async function inWorker(
  specifier: string,
  permissions: Deno.PermissionOptions = "inherit",
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const worker = new Worker(specifier, {
    type: "module",
    deno: { permissions },
  });
  worker.onmessage = () => resolve();
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  try {
    await promise;
  } finally {
    worker.terminate();
  }
}

const reading: Record<string, Attack> = {
  "Deno.readTextFile": (t) => Deno.readTextFile(t.secret),
  "Deno.readTextFile of a path that climbs": (t) =>
    Deno.readTextFile(`${import.meta.dirname}${"/..".repeat(100)}${t.secret}`),
  "Deno.open": (t) => Deno.openSync(t.secret).close(),
  "Deno.stat": (t) => Deno.stat(t.secret),
  "Deno.readDir": (t) => Array.fromAsync(Deno.readDir(t.directory)),
  "Deno.realPath": (t) => Deno.realPath(t.secret),
  "Deno.watchFs": (t) => Deno.watchFs(t.directory).close(),
  "Deno.chdir": (t) => Deno.chdir(t.directory),
  "fetch of a file": (t) =>
    fetch(new URL(`file://${t.secret}`)).then((r) => r.text()),
  "node:fs readFile": (t) => readFileSync(t.secret),
  "node:fs open": (t) => openSync(t.secret, "r"),
  "node:fs exists": (t) => {
    if (!existsSync(t.secret)) throw new Error("not there");
  },
  "require of JSON": (t) =>
    createRequire(import.meta.url)(t.secret.replace(".txt", ".json")),
  "require of code": (t) =>
    createRequire(import.meta.url)(t.secret.replace(".txt", ".ts")),
  "Deno.permissions.request": async () => {
    // The start of the module held this once
    const { state } = await Deno.permissions.request({
      name: "read",
      path: "/",
    });
    if (state !== "granted") throw new Error(state);
  },
  "require by a hook": (t) => {
    const hooks = registerHooks({
      resolve: (specifier, context, next) =>
        specifier === "hook:secret"
          ? {
            url: `file://${t.secret.replace(".txt", ".json")}`,
            format: "json",
            shortCircuit: true,
          }
          : next(specifier, context),
    });
    try {
      createRequire(import.meta.url)("hook:secret");
    } finally {
      hooks.deregister();
    }
  },
  "node:fs cp": (t) =>
    cpSync(t.secret, `${t.directory}/${crypto.randomUUID()}`),
  "process.loadEnvFile": (t) => process.loadEnvFile(t.secret),
  "node:sqlite of a file that is there": (t) =>
    new DatabaseSync(t.secret, { readOnly: true }).close(),
  "/proc/self/environ": () => Deno.readTextFile("/proc/self/environ"),
};

const importing: Record<string, Attack> = {
  "computed import of text": (t) => load(`file://${t.secret}`, "text"),
  "computed import of bytes": (t) => load(`file://${t.secret}`, "bytes"),
  "computed import of JSON": (t) =>
    load(`file://${t.secret.replace(".txt", ".json")}`, "json"),
  "computed import of code": (t) =>
    load(`file://${t.secret.replace(".txt", ".ts")}`),
  "computed import with ..": (t) =>
    load(`${import.meta.dirname}/%2e%2e/secret/${basename(t.secret)}`, "text"),
  "import of /proc/self/environ": () =>
    load("file:///proc/self/environ", "text"),
  "data: module with a static import of text": (t) =>
    load(dataUrl(staticImport(t.secret))),
  "blob: module with a static import of text": (t) =>
    load(blobUrl(staticImport(t.secret))),
  "deferred import": (t) =>
    load(dataUrl(
      `import defer * as file from "file://${
        t.secret.replace(".txt", ".ts")
      }"; file.secret;`,
    )),
  "worker of a file": (t) =>
    inWorker(`file://${t.secret.replace("secret.txt", "worker.js")}`),
  "data: worker with a static import of text": (t) =>
    inWorker(dataUrl(`${staticImport(t.secret)} postMessage(secret);`)),
  "blob: worker with a static import of text": (t) =>
    inWorker(blobUrl(`${staticImport(t.secret)} postMessage(secret);`)),
  "worker that reads": (t) =>
    inWorker(dataUrl(
      `postMessage(Deno.readTextFileSync(${JSON.stringify(t.secret)}));`,
    )),
  "worker with more rights": (t) =>
    inWorker(
      dataUrl(
        `postMessage(Deno.readTextFileSync(${JSON.stringify(t.secret)}));`,
      ),
      { read: true },
    ),
  "node:worker_threads": async (t) => {
    const worker = new NodeWorker(
      `require("node:fs").readFileSync(${JSON.stringify(t.secret)})`,
      { eval: true },
    );
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    worker.on("error", reject);
    worker.on("exit", () => resolve());
    await promise;
  },
};

const writing: Record<string, Attack> = {
  "Deno.writeTextFile": (t) => Deno.writeTextFile(`${t.directory}/w1`, ""),
  "Deno.writeTextFile beside the module": () =>
    Deno.writeTextFile(`${import.meta.dirname}/w2`, "").then(() =>
      Deno.remove(`${import.meta.dirname}/w2`)
    ),
  "Deno.mkdir": (t) => Deno.mkdir(`${t.directory}/w3`),
  "Deno.makeTempFile": (t) => Deno.makeTempFile({ dir: t.directory }),
  "Deno.symlink": (t) => Deno.symlink(t.secret, `${t.directory}/w4`),
  "Deno.link": (t) => Deno.link(t.secret, `${t.directory}/w5`),
  "Deno.copyFile": (t) => Deno.copyFile(t.secret, `${t.directory}/w6`),
  "Deno.rename": async (t) => {
    await Deno.writeTextFile(`${t.directory}/w7`, "");
    await Deno.rename(`${t.directory}/w7`, `${t.directory}/w8`);
  },
  "Deno.remove": (t) => Deno.remove(`${t.directory}/victim`),
  "Deno.truncate": (t) => Deno.truncate(`${t.directory}/victim2`),
  "Deno.chmod": (t) => Deno.chmod(`${t.directory}/victim2`, 0o777),
  "node:fs copyFile": (t) => copyFileSync(t.secret, `${t.directory}/w9`),
  "node:sqlite file": (t) => new DatabaseSync(`${t.directory}/w10`).close(),
  "node:sqlite ATTACH": (t) => {
    const database = new DatabaseSync(":memory:");
    try {
      database.exec(`ATTACH DATABASE '${t.directory}/w11' AS evil`);
    } finally {
      database.close();
    }
  },
  "node:wasi": () => makeLink(import.meta.dirname ?? ""),
  "node:v8 heap snapshot near the limit": () => setHeapSnapshotNearHeapLimit(1),
  "node:v8 heap snapshot": (t) => writeHeapSnapshot(`${t.directory}/w12`),
};

const network: Record<string, Attack> = {
  "Deno.connect by TCP": (t) =>
    Deno.connect({ port: t.port }).then((conn) => conn.close()),
  "Deno.connect to another socket": (t) =>
    Deno.connect({ transport: "unix", path: t.socket }).then((conn) =>
      conn.close()
    ),
  "Deno.listen": () => Deno.listen({ port: 0 }).close(),
  "Deno.listen at a socket": (t) =>
    Deno.listen({ transport: "unix", path: `${t.directory}/l` }).close(),
  "Deno.serve": () =>
    Deno.serve({ port: 0, onListen: () => {} }, () => new Response())
      .shutdown(),
  "fetch": (t) =>
    fetch(`http://127.0.0.1:${t.port}/fetch`).then((r) => r.text()),
  "fetch by a socket": async (t) => {
    using client = Deno.createHttpClient({
      proxy: { transport: "unix", path: t.socket },
    });
    await (await fetch("http://localhost/", { client })).text();
  },
  "WebSocket": async (t) => {
    const socket = new WebSocket(`ws://127.0.0.1:${t.port}/websocket`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.onopen = () => resolve();
    socket.onerror = (event) =>
      reject(event instanceof ErrorEvent ? event.error : event);
    await promise;
    socket.close();
  },
  "node:net": async (t) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect(t.port, "127.0.0.1", resolve).on("error", reject);
    await promise;
    socket.destroy();
  },
  "node:net to another socket": async (t) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect(t.socket, resolve).on("error", reject);
    await promise;
    socket.destroy();
  },
  "node:dgram": async (t) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Deno throws this refusal out of the event loop, and not into the socket's "error".
    const onError = (event: ErrorEvent) => {
      event.preventDefault();
      reject(event.error);
    };
    addEventListener("error", onError);
    const socket = createSocket("udp4").on("error", reject);
    socket.send(Buffer.from("x"), t.port, "127.0.0.1", () => resolve());
    try {
      await promise;
      socket.close();
    } finally {
      removeEventListener("error", onError);
    }
  },
};

/** What succeeds here leaves its answer in Deno's cache: see {@linkcode Targets.remote}. */
const remote: Record<string, Attack> = {
  "remote import of text": (t) =>
    load(`http://127.0.0.1:${t.port}/computed.txt?leak`, "text"),
  "remote import of bytes": (t) =>
    load(`http://127.0.0.1:${t.port}/computed.bin?leak`, "bytes"),
  "remote import of JSON": (t) =>
    load(`http://127.0.0.1:${t.port}/computed.json?leak`, "json"),
  "remote import of code": (t) =>
    load(`http://127.0.0.1:${t.port}/computed.js?leak`),
  "remote import of text in a worker": (t) =>
    inWorker(dataUrl(
      `const url = "http://127.0.0.1:${t.port}/worker.txt";
       await import(url, { with: { type: "text" } }); postMessage(0);`,
    )),
  "remote worker": (t) => inWorker(`http://127.0.0.1:${t.port}/worker.js`),
  "remote static import in a data: module": (t) =>
    load(dataUrl(`import "http://127.0.0.1:${t.port}/static.js";`)),
  "JSX from afar": (t) =>
    load(
      `data:text/tsx,${
        encodeURIComponent(
          `/** @jsxImportSource http://127.0.0.1:${t.port} */ export default <a/>;`,
        )
      }`,
    ),
  "npm: package that is not cached": () =>
    load(`npm:socketpair-${crypto.randomUUID()}`),
  "jsr: package that is not cached": () => load("jsr:@std/yaml@1.0.5"),
};

const system: Record<string, Attack> = {
  "Deno.Command": () =>
    new Deno.Command(Deno.execPath(), { args: ["--version"] }).output(),
  "node:child_process": () => execFileSync(Deno.execPath(), ["--version"]),
  "Deno.kill of the parent": () => Deno.kill(Deno.ppid, "SIGCONT"),
  "process.kill of the parent": () => process.kill(Deno.ppid, 0),
  "Deno.env.get": (t) => {
    if (Deno.env.get(t.variable) === undefined) throw new Error("not set");
  },
  "Deno.env.toObject": () => Deno.env.toObject(),
  "Deno.env.set": (t) => Deno.env.set(t.variable, "set"),
  "process.env": (t) => {
    if (process.env[t.variable] === undefined) throw new Error("not set");
  },
  "Deno.dlopen": () => Deno.dlopen(libc(), {}).close(),
  "Deno.hostname": () => Deno.hostname(),
  "Deno.networkInterfaces": () => Deno.networkInterfaces(),
  "node:os hostname": () => hostname(),
  "node:inspector": () => {
    const session = new Session();
    session.connect();
    session.disconnect();
  },
};

/** The parent has removed the socket and its directory once the child is in. */
const ownSocket: Record<string, Attack> = {
  "directory where the own socket was": (t) =>
    Deno.mkdir(ownPath ?? `${t.directory}/own/socket`, { recursive: true }),
};

/** By this interface a link can be made with no more than scoped permissions. */
function makeLink(directory: string) {
  const { instance } = minimalWasm();
  const wasi = new WASI({
    version: "preview1",
    preopens: { "/": directory },
  });
  wasi.initialize(instance);
  const { path_symlink } = wasi.wasiImport;
  const { memory } = instance.exports;
  const name = crypto.randomUUID();
  new TextEncoder().encodeInto(`/etc${name}`, new Uint8Array(memory.buffer));
  const made = path_symlink(0, 4, 3, 4, name.length);
  if (made !== 0) throw new Error(`path_symlink: ${made}`);
  Deno.removeSync(`${directory}/${name}`);
}

/** A memory of one page, and an `_initialize` that does nothing. */
function minimalWasm() {
  const code = "0061736d0100000001040160000003020100050301000107180206" +
    "6d656d6f727902000b5f696e697469616c697a6500000a040102000b";
  const instance = new WebAssembly.Instance(
    new WebAssembly.Module(Uint8Array.fromHex(code)),
  );
  const { memory } = instance.exports;
  if (!(memory instanceof WebAssembly.Memory)) throw new Error("no memory");
  return { instance: { exports: { ...instance.exports, memory } } };
}

function staticImport(path: string): string {
  return `import secret from "file://${path}" with { type: "text" };`;
}

function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function libc(): string {
  return Deno.build.os === "darwin"
    ? "/usr/lib/libSystem.B.dylib"
    : "libc.so.6";
}

async function attempt(
  attacks: Record<string, Attack>,
  targets: Targets,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [name, attack] of Object.entries(attacks)) {
    try {
      await attack(targets);
      outcomes.push({ name });
    } catch (error) {
      outcomes.push({ name, refused: String(error) });
    }
  }
  return outcomes;
}

await using channel = await connectToParent({
  serialization: json<Outcome[] | Targets>(),
});
const targets = await channel.receive();
if (targets !== null && !Array.isArray(targets)) {
  const groups = [reading, importing, writing, network, system, ownSocket];
  if (targets.remote) groups.push(remote);
  const outcomes: Outcome[] = [];
  for (const group of groups) outcomes.push(...await attempt(group, targets));
  await channel.send(outcomes);
}
