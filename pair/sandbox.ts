/** How a module is started in a process that may do no more than it was granted. */

import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { findConfiguration } from "./configuration.ts";
import {
  type Address,
  environment,
  isHeld,
  log,
  messageOf,
} from "./environment.ts";
import type { LaunchHooks } from "./hooks.ts";
import { withoutInherited } from "./inherited.ts";
import { isAbsence, type Scope } from "./links.ts";
import type { SpawnModuleOptions, SpawnOptions } from "./options.ts";
import {
  absolutePath,
  type Grants,
  grantsEverything,
  grantsOf,
  permissionFlags,
} from "./permissions.ts";
import { LineCopy } from "./pipes.ts";
import { startModule } from "./sandboxed_start.ts";

/** The floors of this package: a file and a folder of that name each. */
const FLOORS = ["framing", "channel", "pair", "descriptors"];

/** What `start()` is given for a module. */
interface Plan<In, Out> {
  readonly command: string;
  readonly options: SpawnOptions<In, Out>;
  readonly hooks: LaunchHooks;
}

/** Turn what `spawnModule()` is given into what `start()` is. */
export async function planModule<In, Out>(
  specifier: string | URL,
  options: SpawnModuleOptions<In, Out>,
): Promise<Plan<In, Out>> {
  const { args = [], denoArgs = [], permissions = "none" } = options;
  const isOverStdio = options.transport === "stdio";
  const all = denoArgs.find((arg) => arg === "-A" || arg === "--allow-all");
  if (all !== undefined) {
    throw new TypeError(
      `Cannot use ${all} in denoArgs: use permissions: "inherit" or an object`,
    );
  }
  const url = resolveSpecifier(specifier);
  const grants = grantsOf(permissions);
  const isTrusted = permissions === "inherit" && grantsEverything(grants);
  const origin = isTrusted ? undefined : newOrigin();
  const { flags, env, main } = origin === undefined
    ? await planTrusted(url, { denoArgs, cwd: options.cwd })
    : await planSandbox(url, grants, {
      origin,
      denoArgs,
      cwd: options.cwd,
      isOverStdio,
    });
  const words = [...options.launcher ?? [], Deno.execPath()];
  const [command = "", ...commandArgs] = isTrusted
    ? words
    : withoutInherited(words);
  // Else another current directory, or clearEnv, would lead away from it.
  const cache = denoDirectory(options.env);
  const ownEnv: Record<string, string> = cache === undefined
    ? {}
    : { DENO_DIR: absolutePath(cache) };
  const argsFor = (address?: Address) => {
    const granted = permissionFlags(grants, address);
    // What is wrong with the options is said first.
    requireFile(url);
    return [
      ...commandArgs,
      "run",
      "--no-prompt",
      ...flags,
      ...granted,
      ...denoArgs,
      main,
      ...args,
    ];
  };
  return {
    command,
    options: {
      ...options,
      env: { ...options.env, ...ownEnv, ...env },
      stdout: options.stdout ?? (isOverStdio ? undefined : "piped"),
      stderr: options.stderr ?? "piped",
    },
    hooks: {
      module: url.href,
      argsFor,
      async onStart(process, exited) {
        await copyOutput(process, exited, options);
        await exited;
        if (origin !== undefined) await removeStorage(origin, options.env);
      },
    },
  };
}

/** What the options say nothing of is copied line by line. */
function copyOutput<In, Out>(
  process: Deno.ChildProcess,
  exited: Promise<void>,
  { stdout, stderr, transport }: SpawnModuleOptions<In, Out>,
): Promise<unknown> {
  const copies = [];
  if (stdout === undefined && transport !== "stdio") {
    copies.push(new LineCopy(process.stdout, Deno.stdout, exited));
  }
  if (stderr === undefined) {
    copies.push(new LineCopy(process.stderr, Deno.stderr, exited));
  }
  return Promise.all(copies.map(({ ended }) => ended));
}

function resolveSpecifier(specifier: string | URL): URL {
  if (specifier instanceof URL) return specifier;
  // A drive letter is no scheme.
  return URL.canParse(specifier) && !/^[A-Za-z]:[\\/]/.test(specifier)
    ? new URL(specifier)
    : pathToFileURL(absolutePath(specifier));
}

/** Throw if there is no such file, as far as this process may know. */
function requireFile(url: URL): void {
  if (url.protocol !== "file:") return;
  const path = fileURLToPath(url);
  // Nobody is to be asked for it.
  if (!isHeld({ name: "read", path })) return;
  try {
    Deno.statSync(path);
  } catch (error) {
    if (!isAbsence(error)) return;
    throw new Deno.errors.NotFound(
      `Cannot spawn module: there is no file ${path}`,
      { cause: error },
    );
  }
}

/** Plan the start of a module that may do everything: it is the main module itself. */
async function planTrusted(
  url: URL,
  options: { denoArgs: string[]; cwd: string | URL | undefined },
) {
  const { denoArgs, cwd } = options;
  const { flags } = await findConfiguration(denoArgs, { mayWrite: false, cwd });
  return { flags, env: {}, main: url.href };
}

/**
 * Plan the start of a module that is not trusted with everything; `grants` is completed.
 *
 * Deno's permissions bind a module once it runs, not how it is loaded, and its flags have
 * gaps. So a `data:` module has {@linkcode startModule} import it through a variable: then
 * Deno checks each local file of its graph, and ignores configuration beside it. And each
 * flag here closes a way out that was tried (tests/pair/sandbox).
 */
async function planSandbox(
  url: URL,
  grants: Grants,
  { origin, denoArgs, cwd, isOverStdio }: {
    origin: string;
    denoArgs: string[];
    cwd: string | URL | undefined;
    isOverStdio: boolean;
  },
) {
  const configuration = await findConfiguration(denoArgs, {
    // Who may read everything gains nothing by it.
    mayWrite: grants.read !== true &&
      (grants.write === true || Boolean(grants.write?.length)),
    cwd,
  });
  const directory = url.protocol === "file:"
    ? dirname(fileURLToPath(url))
    : undefined;
  let scope = scopeOf(grants, directory);
  if (scope !== undefined) grants.read = [...scope.read];
  if (scope?.read.includes("/")) scope = undefined;
  // To look for links; the start gives it up before it imports the module.
  if (scope !== undefined && Deno.build.os !== "windows") {
    grants.read = [...scope.read, "/"];
  }
  // --cached-only lets `import(url, { with: { type: "text" } })` fetch from everywhere.
  const hosts = [url.href, import.meta.url].flatMap(remoteHost);
  if (grants.import !== true) {
    grants.import = [...grants.import ?? [], ...new Set(hosts)];
  }
  const noImport = grants.import !== true && grants.import.length === 0;
  const start = JSON.stringify(import.meta.resolve("./sandboxed_start.ts"));
  const module = JSON.stringify({
    specifier: url.href,
    scope,
    hint: configuration.hint,
    isOverStdio,
  });
  const code = `import { ${startModule.name} } from ${start};
await ${startModule.name}(${module});`;
  return {
    flags: [
      "--cached-only",
      "--no-lock",
      ...configuration.flags,
      "--vendor=false",
      // A module can have code cached under the name of any file, for whoever loads that.
      "--no-code-cache",
      // Otherwise the parent's localStorage and caches are the child's.
      `--location=${origin}/`,
      ...noImport ? ["--deny-import"] : [],
    ],
    env: {
      // An exporter of telemetry opens connections and reads files.
      OTEL_DENO: "false",
      DENO_CACHE_DB_MODE: "memory",
      DENO_KV_DB_MODE: "memory",
      DENO_NO_UPDATE_CHECK: "1",
      // A host that may be imported from is otherwise one to send requests to.
      ...(noImport || grants.net === true ? {} : deadProxies(grants.net)),
    },
    main: `data:application/javascript,${encodeURIComponent(code)}`,
  };
}

/** What a module may use, unless it may read everything. */
function scopeOf(
  { read = [], write = [] }: Grants,
  directory: string | undefined,
): Scope | undefined {
  if (read === true) return;
  const own = ownFiles();
  return {
    read: [...read, ...directory === undefined ? [] : [directory], ...own],
    own,
    write,
  };
}

/** Proxies that let requests through to the hosts that were granted, and to no others. */
function deadProxies(granted: string[] = []): Record<string, string> {
  const hosts = granted
    .filter((host) => !/^(unix|vsock):/.test(host))
    .map((host) => host.replace(/:\d+$/, "").replace(/^\*/, ""));
  const variables = {
    HTTP_PROXY: "http://127.0.0.1:0",
    HTTPS_PROXY: "http://127.0.0.1:0",
    ALL_PROXY: "http://127.0.0.1:0",
    NO_PROXY: hosts.join(","),
  };
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => [
      [name, value],
      [name.toLowerCase(), value],
    ]),
  );
}

/** What a child imports of this package, if it is on this machine. */
function ownFiles(): string[] {
  return ["mod.ts", ...FLOORS.flatMap((name) => [`${name}.ts`, name])]
    // import.meta.resolve() makes framing.ts of framing where imports may be sloppy.
    .map((name) => new URL(`../${name}`, import.meta.url))
    .filter(({ protocol }) => protocol === "file:")
    .map((url) => fileURLToPath(url));
}

/** Where a module is loaded from, with the port: nothing if from this machine. */
function remoteHost(href: string): string[] {
  const { protocol, hostname, port } = new URL(href);
  switch (protocol) {
    case "https:":
      return [`${hostname}:${port || 443}`];
    case "http:":
      return [`${hostname}:${port || 80}`];
    case "jsr:":
      return ["jsr.io:443"];
  }
  return [];
}

/**
 * An origin that no other process has: what the module keeps for it in Deno's own directory, by
 * `localStorage` and `caches`, is of no use to anybody when the module has ended.
 */
function newOrigin(): string {
  return `http://${crypto.randomUUID()}.invalid`;
}

/**
 * Remove what is stored for an origin, where this process may.
 *
 * @param origin The origin.
 * @param env Variables that the child has besides those of this process.
 */
async function removeStorage(
  origin: string,
  env: Record<string, string> = {},
): Promise<void> {
  const directory = denoDirectory(env);
  if (directory === undefined) return;
  const digest = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(origin),
  );
  const name = new Uint8Array(digest).toHex();
  for (const kind of ["location_data", "location_data/web_cache"]) {
    const path = `${directory}/${kind}/${name}`;
    // Nobody is to be asked for it.
    if (!isHeld({ name: "write", path })) continue;
    try {
      await Deno.remove(path, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      log?.(`could not remove what a module has stored: ${messageOf(error)}`);
    }
  }
}

/**
 * Where Deno keeps what it caches, as far as this process knows.
 *
 * @param env Variables in place of those of this process.
 */
function denoDirectory(
  env: Record<string, string> = {},
): string | undefined {
  const variable = (name: string) => env[name] ?? environment(name);
  const own = variable("DENO_DIR");
  if (own) return own;
  const home = variable("HOME");
  if (Deno.build.os === "darwin") return home && `${home}/Library/Caches/deno`;
  if (Deno.build.os === "windows") return;
  const caches = variable("XDG_CACHE_HOME") || (home && `${home}/.cache`);
  return caches && `${caches}/deno`;
}
