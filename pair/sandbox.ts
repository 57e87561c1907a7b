/** Starts a module in a process that may do no more than it was granted. */

import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { AnySerialization } from "../channel.ts";
import { findConfiguration, resolutionFlags } from "./configuration.ts";
import {
  compiledDirectory,
  denoDir,
  makeDenoDir,
  removeDenoDir,
} from "./deno_dir.ts";
import { type Address, BROKER_VARIABLE, isHeld } from "./environment.ts";
import { ConnectError } from "./errors.ts";
import { findCode } from "./graph.ts";
import type { LaunchHooks } from "./launch.ts";
import { withoutInherited } from "./inherited.ts";
import { checkOptions as checkLaunch } from "./launch.ts";
import { refuseLinks } from "./links.ts";
import type { SpawnModuleOptions, SpawnOptions } from "./options.ts";
import { absolutePath, isFile, isInside } from "./paths.ts";
import {
  type Grants,
  grantsEverything,
  grantsOf,
  permissionFlags,
} from "./permissions.ts";
import { type ModuleStart, startModule } from "./sandboxed_start.ts";
import { findWall, makeWall, seeThrough, visible } from "./wall.ts";

const LAYERS = ["framing", "channel", "pair", "descriptors", "jsonrpc"];

interface Program {
  readonly flags: readonly string[];
  readonly grants: Grants;
  readonly env: Record<string, string>;
  readonly main: string;
  readonly wall?: ((address?: Address) => readonly string[]) | undefined;
  readonly dispose?: (() => Promise<void>) | undefined;
}

export async function planModule<S extends AnySerialization>(
  specifier: string | URL,
  options: SpawnModuleOptions<S>,
): Promise<{ command: string; options: SpawnOptions<S>; hooks: LaunchHooks }> {
  const { args = [], denoArgs = [], launcher = [], permissions = "none" } =
    options;
  checkOptions(options);
  const url = resolveSpecifier(specifier);
  const { connectTimeout } = checkLaunch(options);
  const grants = grantsOf(permissions);
  // What is wrong with the options is reported first.
  permissionFlags(grants);
  requireFile(url);
  const isWalled = options.wall !== undefined;
  const isTrusted = permissions === "inherit" && !isWalled &&
    grantsEverything(grants);
  const { program: bwrap } = isWalled ? await findWall() : {};
  const words = [...launcher, bwrap ?? Deno.execPath()];
  const [command = "", ...commandArgs] = isTrusted
    ? words
    : withoutInherited(words);
  // The module may hold up the search for its files.
  const timer = AbortSignal.timeout(connectTimeout);
  const signals = options.signal ? [timer, options.signal] : [timer];
  const signal = AbortSignal.any(signals);
  const program = isTrusted
    ? planTrusted(url, grants, options)
    : await planSandbox(url, grants, { ...options, signal }).catch((error) => {
      if (!timer.aborted || options.signal?.aborted) throw error;
      throw new ConnectError(
        `Cannot start module ${url}: its files were not found in ${connectTimeout} ms`,
      );
    });
  return {
    command,
    options: {
      ...options,
      ...isWalled && { clearEnv: true },
      env: {
        ...isWalled && !options.clearEnv && visible(grants.env),
        ...options.env,
        ...program.env,
      },
      // Nothing behind the wall outlives the child, so that there is no group to signal.
      detached: isWalled ? false : options.detached,
    },
    hooks: {
      module: url.href,
      shown: words[0],
      argsFor: (address) => [
        ...commandArgs,
        ...program.wall?.(address) ?? [],
        "run",
        "--no-prompt",
        ...program.flags,
        ...permissionFlags(program.grants, address),
        ...denoArgs,
        program.main,
        ...args,
      ],
      ...isWalled && { wrap: seeThrough },
      dispose: program.dispose,
    },
  };
}

function checkOptions(
  { denoArgs = [], wall, transport }: SpawnModuleOptions<AnySerialization>,
): void {
  const all = denoArgs.find((arg) => arg === "-A" || arg === "--allow-all");
  if (all !== undefined) {
    throw new TypeError(
      `Cannot use ${all} in denoArgs: use permissions: "inherit" or an object`,
    );
  }
  if (wall === undefined) return;
  if (wall !== "bubblewrap") {
    throw new TypeError(`Cannot use wall: "${wall}" is not "bubblewrap"`);
  }
  if (transport === "tcp") {
    throw new TypeError(
      'Cannot use transport: "tcp" with a wall: the child has a network of its own: use "unix"',
    );
  }
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
  // Avoid a permission prompt.
  if (!isHeld({ name: "read", path }) || isFile(path)) return;
  throw new Deno.errors.NotFound(
    `Cannot spawn module: there is no file ${path}`,
  );
}

/** Plan the start of a module that may do everything: it is the main module itself. */
function planTrusted(
  url: URL,
  grants: Grants,
  { denoArgs = [], cwd, env }: SpawnModuleOptions<AnySerialization>,
): Program {
  const { flags } = findConfiguration(denoArgs, { mayWrite: false, cwd });
  const cache = denoDir(env);
  return {
    flags,
    grants,
    // Otherwise another current directory, or clearEnv, would lead away from the cache.
    env: cache === undefined ? {} : { DENO_DIR: cache },
    main: url.href,
  };
}

/**
 * Plan the start of a module that is not trusted with everything.
 *
 * Deno's permissions bind a module once it runs, not how it is loaded. So a `data:` module has
 * {@linkcode startModule} import it through a variable: then Deno checks each local file of its
 * graph, and ignores configuration beside it. Each flag here closes a way out that was tried.
 */
async function planSandbox(
  url: URL,
  granted: Grants,
  options: SpawnModuleOptions<AnySerialization> & { signal: AbortSignal },
): Promise<Program> {
  const { denoArgs = [], cwd, env = {}, npmCache = false, signal, wall } =
    options;
  const grants = { ...granted };
  const { read = [], write = [] } = grants;
  const configuration = findConfiguration(denoArgs, {
    // With permission to read everything, there is nothing to gain.
    mayWrite: read !== true && (write === true || write.length > 0),
    cwd,
  });
  const cache = denoDir(env);
  const isLocal = url.protocol === "file:";
  const isForeign = options.uid !== undefined || options.gid !== undefined;
  const cached = npmCache ? ["remote", "npm"] : ["remote"];
  // --cached-only lets `import(url, { with: { type: "text" } })` fetch from everywhere.
  const hosts = [url.href, import.meta.url].flatMap(remoteHost);
  if (grants.import !== true) {
    grants.import = [...grants.import ?? [], ...new Set(hosts)];
  }
  const noImport = grants.import !== true && grants.import.length === 0;
  const flags = [
    "--cached-only",
    "--no-lock",
    ...configuration.flags,
    "--vendor=false",
    // Storing it takes time, and the next child has another cache.
    "--no-code-cache",
    ...noImport ? ["--deny-import"] : [],
  ];
  const variables = {
    // An exporter of telemetry opens connections and reads files.
    OTEL_DENO: "false",
    DENO_CACHE_DB_MODE: "memory",
    DENO_KV_DB_MODE: "memory",
    // Compiled code is stored at a path that the module can have lead anywhere.
    DENO_EMIT_CACHE_MODE: wall === undefined ? "disable" : "normal",
    DENO_NO_UPDATE_CHECK: "1",
    // A host that may be imported from is otherwise one to send requests to.
    ...(noImport || grants.net === true ? {} : deadProxies(grants.net)),
  };
  const readable = read === true ? ["/"] : read;
  const writable = write === true ? ["/"] : write;
  const reach = [...readable, ...writable];
  // With permission to read or write everything, or behind the wall, there is nothing to gain.
  if (wall === undefined && !readable.includes("/")) {
    const searched = isLocal ? [dirname(fileURLToPath(url)), ...reach] : reach;
    for (const path of new Set(searched)) {
      if (path !== "/") await refuseLinks(path, writable, signal);
    }
  }
  const own = await makeDenoDir({
    cache,
    directory: options.directory,
    links: cached,
    reach: reach.includes("/") ? [] : reach,
    isForeign,
  });
  try {
    const code = !isLocal ? [] : await findCode(url, {
      flags: [...configuration.flags, ...resolutionFlags(denoArgs)],
      cwd,
      // --no-remote does not keep it from the registry of npm.
      env: { ...env, ...variables, ...deadProxies() },
      cache: own,
      launcher: options.launcher ?? [],
      signal,
    });
    const files = [...ownFiles(), ...code];
    grants.read = withFiles(read, files);
    return {
      flags,
      grants,
      env: { DENO_DIR: own, ...variables },
      main: mainOf(url, configuration.hint, options),
      wall: wall && await makeWall({
        files: [...files, ...configuration.files],
        grants: granted,
        cwd,
        // If another user cannot enter the cache, bwrap fails.
        cache: isForeign ? undefined : cache,
        cached: [...cached, compiledDirectory()],
      }),
      dispose: () => removeDenoDir(own),
    };
  } catch (error) {
    await removeDenoDir(own);
    throw error;
  }
}

/** Grant the files that are not granted yet: one with a comma in its name cannot be. */
function withFiles(read: true | string[], files: readonly string[]) {
  if (read === true) return read;
  const isGranted = (file: string) => read.some((path) => isInside(file, path));
  return [...read, ...files.filter((file) => !isGranted(file))];
}

/** The module that starts the other. */
function mainOf(
  url: URL,
  hint: string,
  { env = {}, transport, npmCache = false }: SpawnModuleOptions<
    AnySerialization
  >,
): string {
  const start = JSON.stringify(import.meta.resolve("./sandboxed_start.ts"));
  const module: ModuleStart = {
    specifier: url.href,
    hint,
    hasNpmCache: npmCache,
    isOverStdio: transport === "stdio",
    mayAskBroker: BROKER_VARIABLE in env,
  };
  const code = `import { ${startModule.name} } from ${start};
await ${startModule.name}(${JSON.stringify(module)});`;
  return `data:application/javascript,${encodeURIComponent(code)}`;
}

/** Proxies that let requests through to the hosts that were granted, and to no others. */
function deadProxies(granted: string[] = []): Record<string, string> {
  const hosts = granted
    .filter((host) => !/^(unix|vsock):/.test(host))
    .map((host) => host.replace(/:\d+$/, "").replace(/^\*/, ""));
  // Deno looks at these before all others of the kind.
  return { ALL_PROXY: "http://127.0.0.1:0", NO_PROXY: hosts.join(",") };
}

/** What a child imports of this package, if it is on this machine. */
function ownFiles(): string[] {
  if (!import.meta.url.startsWith("file:")) return [];
  const names = LAYERS.flatMap((name) => [`${name}.ts`, name]);
  // import.meta.resolve() makes framing.ts of framing where imports may be sloppy.
  return ["mod.ts", "sandboxed.ts", ...names]
    .map((name) => fileURLToPath(new URL(`../${name}`, import.meta.url)));
}

/** Where a module is loaded from, with the port: nothing if from this machine. */
function remoteHost(href: string): string[] {
  const { protocol, hostname, port } = new URL(href);
  if (protocol === "jsr:") return ["jsr.io:443"];
  if (!/^https?:$/.test(protocol)) return [];
  return [`${hostname}:${port || (protocol === "https:" ? 443 : 80)}`];
}
