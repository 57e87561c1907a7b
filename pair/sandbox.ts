/** How a module is started in a process that may do no more than it was granted. */

import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Address } from "./environment.ts";
import { HOOKS, type LaunchOptions } from "./hooks.ts";
import type { SpawnModuleOptions } from "./options.ts";
import {
  type Grants,
  grantsEverything,
  grantsOf,
  permissionFlags,
} from "./permissions.ts";
import { startModule } from "./sandboxed_start.ts";

/** The floors of this package: a file and a folder of that name each. */
const FLOORS = ["framing", "channel", "pair", "descriptors"];

/** Turn the options of `spawnModule()` into those of `spawn()`. */
export async function planModule<In, Out>(
  specifier: string | URL,
  options: SpawnModuleOptions<In, Out>,
): Promise<LaunchOptions<In, Out>> {
  const { args = [], denoArgs = [], permissions = "none" } = options;
  const all = denoArgs.find((arg) => arg === "-A" || arg === "--allow-all");
  if (all !== undefined) {
    throw new TypeError(
      `Cannot use ${all} in denoArgs: use permissions: "inherit" or an object`,
    );
  }
  const url = resolveSpecifier(specifier);
  const grants = grantsOf(permissions);
  const { flags, env, main } =
    permissions === "inherit" && grantsEverything(grants)
      ? { flags: [], env: {}, main: url.href }
      : await planSandbox(url, grants, denoArgs);
  const argsFor = (address?: Address) => [
    "run",
    "--no-prompt",
    ...flags,
    ...permissionFlags(grants, address),
    ...denoArgs,
    main,
    ...args,
  ];
  return {
    ...options,
    env: { ...options.env, ...env },
    [HOOKS]: { module: url.href, argsFor },
  };
}

function resolveSpecifier(specifier: string | URL): URL {
  if (specifier instanceof URL) return specifier;
  // A drive letter is no scheme.
  return URL.canParse(specifier) && !/^[A-Za-z]:[\\/]/.test(specifier)
    ? new URL(specifier)
    : pathToFileURL(resolve(specifier));
}

/**
 * Plan the start of a module that is not trusted with everything; `grants` is completed.
 *
 * Deno's permissions bind a module once it runs, not how it is loaded, and its flags have
 * gaps. So a `data:` module has {@linkcode startModule} import it through a variable: then
 * Deno checks each local file of its graph, and ignores configuration beside it. And each
 * flag here closes a way out that was tried (tests/sandbox).
 */
async function planSandbox(
  url: URL,
  grants: Grants,
  denoArgs: string[],
) {
  const directory = url.protocol === "file:"
    ? dirname(fileURLToPath(url))
    : undefined;
  if (grants.read !== true) {
    grants.read = [
      ...grants.read ?? [],
      ...directory === undefined ? [] : [directory],
      ...ownFiles(),
    ];
  }
  // --cached-only lets `import(url, { with: { type: "text" } })` fetch from everywhere.
  const hosts = [url.href, import.meta.url].flatMap(remoteHost);
  if (grants.import !== true) {
    grants.import = [...grants.import ?? [], ...new Set(hosts)];
  }
  const noImport = grants.import !== true && grants.import.length === 0;
  const start = JSON.stringify(import.meta.resolve("./sandboxed_start.ts"));
  const module = JSON.stringify({ specifier: url.href, directory });
  const code = `import { ${startModule.name} } from ${start};
await ${startModule.name}(${module});`;
  return {
    flags: [
      "--cached-only",
      "--no-lock",
      ...await configFlags(denoArgs),
      // The parent's configuration may say to write node_modules and to run scripts.
      "--node-modules-dir=none",
      "--vendor=false",
      "--no-code-cache",
      // Otherwise the parent's localStorage and caches are the child's.
      `--location=http://${crypto.randomUUID()}.invalid/`,
      ...noImport ? ["--deny-import"] : [],
    ],
    env: {
      // An exporter of telemetry opens connections and reads files.
      OTEL_DENO: "false",
      DENO_CACHE_DB_MODE: "memory",
      DENO_KV_DB_MODE: "memory",
      // A host that may be imported from is otherwise one to send requests to.
      ...(!noImport && grants.net !== true && !grants.net?.length
        ? DEAD_PROXIES
        : {}),
    },
    main: `data:application/javascript,${encodeURIComponent(code)}`,
  };
}

const DEAD_PROXIES = {
  ...Object.fromEntries(
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [
      [name, "http://127.0.0.1:0"],
      [name.toLowerCase(), "http://127.0.0.1:0"],
    ]),
  ),
  NO_PROXY: "",
  no_proxy: "",
};

/** What a child imports of this package, if it is on this machine. */
function ownFiles(): string[] {
  return ["mod.ts", ...FLOORS.flatMap((name) => [`${name}.ts`, name])]
    .map((name) => import.meta.resolve(`../${name}`))
    .filter((url) => url.startsWith("file:"))
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

/** The configuration nearest above the main module of this process. */
async function configFlags(denoArgs: string[]): Promise<string[]> {
  const isConfig = /^(--config|-c|--no-config)(=|$)/;
  if (denoArgs.some((arg) => isConfig.test(arg))) return [];
  if (!Deno.mainModule.startsWith("file:")) return ["--no-config"];
  let directory = dirname(fileURLToPath(Deno.mainModule));
  while (true) {
    for (const name of ["deno.json", "deno.jsonc"]) {
      const path = resolve(directory, name);
      if (await isFile(path)) return [`--config=${path}`];
    }
    const parent = dirname(directory);
    if (parent === directory) return ["--no-config"];
    directory = parent;
  }
}

/** Whether a file is there, and this process may know. */
async function isFile(path: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "read", path });
  if (state !== "granted") return false;
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
