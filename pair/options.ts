/** The options of this layer: types only. */

import type { AnySerialization, ChannelOptions } from "../channel.ts";

/** Options for {@linkcode socketPair}. */
export type SocketPairOptions = Pick<SpawnOptions, "directory">;

/**
 * Options for {@linkcode spawn}.
 *
 * @typeParam S The type of the serialization, which determines the types of the messages.
 */
export interface SpawnOptions<S extends AnySerialization = undefined>
  extends ChannelOptions<S> {
  /**
   * Arguments of the command.
   *
   * @default {[]}
   */
  args?: string[] | undefined;
  /**
   * Current directory of the child.
   *
   * @default {the parent's}
   */
  cwd?: string | URL | undefined;
  /**
   * Environment variables of the child, in addition to those that it inherits.
   *
   * @default {{}}
   */
  env?: Record<string, string> | undefined;
  /**
   * Do not pass the parent's environment variables to the child.
   *
   * @default {false}
   */
  clearEnv?: boolean | undefined;
  /**
   * User id of the child, which gets the socket but not its directory. Then no others may be able
   * to replace files in `directory`.
   */
  uid?: number | undefined;
  /** Group id of the child, which gets the socket but not its directory. */
  gid?: number | undefined;
  /**
   * Ends the child. Before it has connected, {@linkcode spawn} rejects with the signal's
   * reason. Later the child gets SIGTERM, and after `gracePeriod` SIGKILL; any remaining
   * messages are delivered first, then `receive()` rejects with the reason.
   */
  signal?: AbortSignal | undefined;
  /**
   * Standard input of the child.
   *
   * @default {"null"}
   */
  stdin?: "piped" | "inherit" | "null" | undefined;
  /**
   * Standard output of the child. That of a module is copied to this process's by default, line by
   * line: with `"inherit"`, a module can read what is typed at the terminal, and cut a file.
   *
   * @default {"inherit", and a copy for spawnModule()}
   */
  stdout?: "piped" | "inherit" | "null" | undefined;
  /**
   * Standard error of the child, like `stdout`.
   *
   * @default {"inherit", and a copy for spawnModule()}
   */
  stderr?: "piped" | "inherit" | "null" | undefined;
  /**
   * Start the child in its own process group, which signals then go to, so that `sh -c` or
   * `npm run` does not leave the real program behind. Ctrl-C in a terminal does not reach it.
   * Needs `--allow-run` in full. Has no effect with `wall`.
   *
   * @default {false}
   */
  detached?: boolean | undefined;
  /**
   * How long the child can take to connect, in ms: 0 to 2_147_483_647.
   *
   * @default {30_000}
   */
  connectTimeout?: number | undefined;
  /**
   * How long {@linkcode Child.close} waits before SIGTERM, and how long it is from SIGTERM to
   * SIGKILL, in ms: 0 to 2_147_483_647.
   *
   * @default {5_000}
   */
  gracePeriod?: number | undefined;
  /**
   * The directory in which to make the directory of the socket.
   *
   * @default {the system's temporary directory}
   */
  directory?: string | undefined;
  /**
   * The connection: a Unix socket, TCP on 127.0.0.1, or the child's standard input and output.
   *
   * With `"stdio"` the child can be a program that does not know this module, or runs elsewhere:
   * a language server, `ssh host deno run child.ts`. {@linkcode spawn} resolves when the process
   * has started. `stdin` and `stdout` cannot be set. Only `--allow-run` is needed.
   *
   * @default {"unix", and "tcp" on Windows}
   */
  transport?: "unix" | "tcp" | "stdio" | undefined;
}

/** Options for {@linkcode connectToParent}. */
export interface ConnectOptions<S extends AnySerialization = undefined>
  extends ChannelOptions<S> {
  /**
   * `"stdio"` if the parent called {@linkcode spawn} with it: the channel is the standard input
   * and output of this process. From then on `console`, `Deno.stdout` and `process.stdout` write
   * to standard error. Workers and programs that this process starts still write into the channel,
   * unless `descriptors` is set.
   *
   * @default {the socket that the environment names}
   */
  transport?: "stdio" | undefined;
  /**
   * With `transport: "stdio"`, the descriptors to read from and to write to: pipes or sockets,
   * which the channel owns from then on. For example, a shell moves them with
   * `3<&0 4>&1 </dev/null >&2`. The parent then notices `closeWrite()` at once, and not only when
   * this process ends.
   *
   * @default {[0, 1]}
   */
  descriptors?: readonly [input: number, output: number] | undefined;
}

/** Options for {@linkcode spawnModule}. */
export interface SpawnModuleOptions<S extends AnySerialization = undefined>
  extends SpawnOptions<S> {
  /**
   * What the child may do besides using its socket and reading its own code and JSON: the files in
   * its directory or below that it imports by literal specifiers. Other files have to be granted by
   * `read`.
   *
   * `"inherit"` passes on each kind of permission that the parent holds in full. Directories that
   * are granted may hold no symbolic link that leads out or up. Without a wall, `read` and `write`
   * on the same directory open all files of the user, because `node:wasi` can make any link there.
   *
   * @default {"none"}
   */
  permissions?: Deno.PermissionOptions | undefined;
  /**
   * Put the module behind a second wall, made by the system: Linux, with bubblewrap 0.8 or later
   * installed. Only these exist there: Deno, the files that the module is loaded with or may use,
   * its socket, 64 MiB of memory, the network if `net` grants some, and the variables that `env` or
   * `permissions.env` names.
   *
   * @default {none: Deno's permissions alone}
   */
  wall?: "bubblewrap" | undefined;
  /**
   * Let the module import npm packages from Deno's cache. Without a wall this opens **every file
   * that the user can read**, because Deno does not check paths that climb out of its cache
   * (`%2F..`); behind a wall it opens the packages in the cache, read-only.
   *
   * @default {false}
   */
  npmCache?: boolean | undefined;
  /**
   * A command and its arguments that come before `deno`'s: a program that becomes the one that its
   * last arguments name, such as `["prlimit", "--cpu=10"]` or `["nice"]`. It also starts
   * `deno info`, which finds the module's files, and must not print to standard output.
   *
   * @default {[]}
   */
  launcher?: string[] | undefined;
  /**
   * Further flags for `deno run`. A `--config` or `--no-config` replaces the parent's configuration,
   * the nearest `deno.json` or `package.json` above its main module. If a flag gave the parent its
   * configuration, repeat that flag here. Use `permissions` to grant permissions.
   *
   * @default {[]}
   */
  denoArgs?: string[] | undefined;
}
