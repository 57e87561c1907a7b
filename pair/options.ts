/** The options of the face: types only. */

import type { ChannelOptions } from "../channel.ts";

/** Options for {@linkcode socketPair}. */
export interface SocketPairOptions {
  /**
   * Where the directory of the socket is made.
   *
   * @default {the system's temporary directory}
   */
  directory?: string | undefined;
}

/** Options for {@linkcode spawn}. */
export interface SpawnOptions<In, Out = In> extends ChannelOptions<In, Out> {
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
   * Environment variables of the child, besides those that it inherits.
   *
   * @default {{}}
   */
  env?: Record<string, string> | undefined;
  /**
   * Keep the parent's environment variables from the child.
   *
   * @default {false}
   */
  clearEnv?: boolean | undefined;
  /**
   * User id of the child; the socket is given to it, its directory is not. With `uid` or
   * `gid`, nobody but this user and root may be able to replace what lies in `directory`.
   */
  uid?: number | undefined;
  /** Group id of the child; the socket is given to it, its directory is not. */
  gid?: number | undefined;
  /**
   * Ends the child. While it has not connected, {@linkcode spawn} rejects with the
   * signal's reason. Later the child gets SIGTERM, and after `gracePeriod` SIGKILL; what
   * it still sends is received, and then, in place of the end, the reason.
   */
  signal?: AbortSignal | undefined;
  /**
   * Standard input of the child.
   *
   * @default {"null"}
   */
  stdin?: "piped" | "inherit" | "null" | undefined;
  /**
   * Standard output of the child.
   *
   * @default {"inherit"}
   */
  stdout?: "piped" | "inherit" | "null" | undefined;
  /**
   * Standard error of the child.
   *
   * @default {"inherit"}
   */
  stderr?: "piped" | "inherit" | "null" | undefined;
  /**
   * Start the child in a process group of its own. Signals then go to the whole group,
   * so that `sh -c` or `npm run` does not leave the real program behind; that needs
   * `--allow-run` in full.
   *
   * @default {false}
   */
  detached?: boolean | undefined;
  /**
   * How long the child may take to connect, in ms: 0 to 2_147_483_647.
   *
   * @default {30_000}
   */
  connectTimeout?: number | undefined;
  /**
   * How long {@linkcode Child.close} waits before SIGTERM, and again before SIGKILL, and
   * how long it is from SIGTERM to SIGKILL after `signal`, in ms: 0 to 2_147_483_647.
   *
   * @default {5_000}
   */
  gracePeriod?: number | undefined;
  /**
   * Where the directory of the socket is made.
   *
   * @default {the system's temporary directory}
   */
  directory?: string | undefined;
  /**
   * What connects the two: a Unix socket, TCP on 127.0.0.1, or the child's standard input
   * and output.
   *
   * With `"stdio"` the child need not know this module, nor run on this machine: a
   * language server, `ssh host deno run child.ts`. There is no socket, no token and no
   * variable, and nothing but `--allow-run` is needed; {@linkcode spawn} resolves once the
   * process is started. `stdin` and `stdout` are then not to be set. A child of Deno calls
   * `connectToParent({ transport: "stdio" })`.
   *
   * @default {"unix", and "tcp" on Windows}
   */
  transport?: "unix" | "tcp" | "stdio" | undefined;
}

/** Options for {@linkcode connectToParent}. */
export interface ConnectOptions<In, Out = In> extends ChannelOptions<In, Out> {
  /**
   * `"stdio"` if the parent called {@linkcode spawn} with that: the channel is the standard
   * input and output of this process. What else would write to standard output goes to
   * standard error from then on: `console`, `Deno.stdout`, `process.stdout`.
   *
   * Not seen, and so in the way of the messages, is what goes around those: `Deno.stdout.writable`
   * that was taken before, a worker's `console`, a program that inherits descriptor 1. To be
   * safe from them let the shell move the channel, `3<&0 4>&1 </dev/null >&2`, and name
   * `descriptors`. So, too, for the parent to see the end as soon as `closeWrite()` is called here:
   * Deno keeps descriptor 1 open until this process ends.
   *
   * @default {the socket that the environment tells of}
   */
  transport?: "stdio" | undefined;
  /**
   * With `transport: "stdio"`, the descriptors of the channel: to read from and to write to.
   * Descriptors of pipes or sockets other than 0 and 1 are this process's from then on, and
   * standard output is left as it is.
   *
   * @default {[0, 1]}
   */
  descriptors?: readonly [input: number, output: number] | undefined;
}

/** Options for {@linkcode spawnModule}. */
export interface SpawnModuleOptions<In, Out = In>
  extends SpawnOptions<In, Out> {
  /**
   * Standard output of the child. By default what it writes there is copied to that of
   * this process, line by line, and {@linkcode Child.close} waits for the last one.
   * `"inherit"` is for a module that is trusted: it gets the terminal or the file itself,
   * can read what is typed, and cut or change the file.
   *
   * @default {copied}
   */
  stdout?: "piped" | "inherit" | "null" | undefined;
  /**
   * Standard error of the child: as {@linkcode SpawnModuleOptions.stdout}.
   *
   * @default {copied}
   */
  stderr?: "piped" | "inherit" | "null" | undefined;
  /**
   * What the child may do besides using its socket and reading its own code: the files in its
   * directory or below that it imports by literal specifiers. A file that it reads while it runs,
   * imports as JSON, text or bytes, or by a computed specifier, or starts as a Worker, has to be
   * granted by `read`.
   *
   * `"inherit"` passes on each kind of permission that the parent holds in full, and nothing of
   * the others. Directories that are granted may hold no symbolic link that leads out or up.
   * Without a wall, `read` and `write` on the same directory give access to all files of the
   * user, because `node:wasi` can make any link there.
   *
   * @default {"none"}
   */
  permissions?: Deno.PermissionOptions | undefined;
  /**
   * Put the module behind a second wall, made by the system: Linux, with `bwrap` of bubblewrap
   * installed. Nothing exists there but Deno, the files that the module may read or write, and its
   * socket: no other process, no network unless `net` grants some.
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
   * A command and its arguments that come before `deno`'s, to start the child by: one that sets
   * something for its process and then becomes the program that its last arguments name, such as
   * `["prlimit", "--cpu=10"]`, `["nice"]` or `["systemd-run", "--user", "--scope"]`.
   *
   * Signals go to the launcher's process, so a launcher that starts the child as a process of
   * its own has to pass them on.
   *
   * @default {[]}
   */
  launcher?: string[] | undefined;
  /**
   * Further flags for `deno run`, after those of {@linkcode spawnModule}. A `--config` or
   * `--no-config` there replaces the parent's configuration, the nearest `deno.json` or
   * `package.json` above its main module. A configuration that a flag has given to the parent
   * cannot be seen from inside, and belongs here. Grant permissions by `permissions`, not
   * here: a bare `--allow-read` beside the one for the child's own files is of no effect.
   *
   * @default {[]}
   */
  denoArgs?: string[] | undefined;
}
