import { fileURLToPath } from "node:url";
import { assert, assertRejects } from "@std/assert";
import { json, text } from "../../channel.ts";
import {
  ConnectError,
  spawnModule,
  type SpawnModuleOptions,
} from "../../pair.ts";
import type { Outcome, Targets } from "./sandbox/attacks/child.ts";

export const fixtures = new URL("./sandbox/", import.meta.url);
export const secretPath = fileURLToPath(
  new URL("./secret/secret.txt", fixtures),
);
export const secret = "a secret beside the sandbox";
const pairUrl = new URL("../../pair.ts", import.meta.url).href;
const channelUrl = new URL("../../channel.ts", import.meta.url).href;

/** Whether the second wall can be had here. */
export const hasBubblewrap = Deno.build.os === "linux" &&
  await new Deno.Command("bwrap", {
    args: ["--unshare-all", "--ro-bind", "/", "/", "true"],
  }).output().then(({ success }) => success, () => false);

/** Which walls a module is behind. */
export interface Walled {
  wall?: "bubblewrap";
}

/** The first wall, and both. */
export const walls: Record<string, Walled> = {
  "Deno's permissions": {},
  "bubblewrap": { wall: "bubblewrap" },
};

/** A new directory, gone at the end of the block. */
export async function temporaryDirectory(): Promise<
  AsyncDisposable & { path: string }
> {
  const path = await Deno.realPath(await Deno.makeTempDir());
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** An HTTP server on 127.0.0.1 that counts who comes. */
export function httpServer(): AsyncDisposable & {
  port: number;
  requests: string[];
} {
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
export async function tree(directory: string): Promise<string[]> {
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
export async function writeModule(
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
export function sender(imports: string, expression: string): string {
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
export async function hear(
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
    const { NotCapable } = Deno.errors;
    if (error instanceof ConnectError || error instanceof NotCapable) return [];
    throw error;
  }
}

/** Why a module is refused before it is started. */
export async function refusal(
  specifier: string | URL,
  options: SpawnModuleOptions<string> = {},
): Promise<string> {
  const error = await assertRejects(
    () =>
      spawnModule(specifier, {
        serialization: text(),
        stderr: "null",
        ...options,
      }),
    Deno.errors.NotCapable,
  );
  return error.message;
}

/** Run all attacks of `sandbox/attacks`. */
export async function attack(
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
export async function battlefield(): Promise<
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
