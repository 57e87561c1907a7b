/** What is needed to start a child. */

import type { AnySerialization } from "../channel.ts";
import { checkLimits } from "../channel/message_writer.ts";
import {
  type Address,
  CONNECTION_VARIABLES,
  DEBUG_VARIABLE,
  environment,
  isHeld,
  log,
} from "./environment.ts";
import type { SpawnOptions } from "./options.ts";

type Options = SpawnOptions<AnySerialization>;

const DEFAULT_CONNECT_TIMEOUT = 30_000;
const DEFAULT_GRACE_PERIOD = 5_000;

const MAX_DELAY = 2 ** 31 - 1;

/** How other files and the layer above take part while `spawn()` starts a child. */
export interface LaunchHooks {
  readonly module?: string;
  /** The command to show in errors, in place of a shell. */
  readonly shown?: string | undefined;
  /** Listen for a second connection, in the same directory and with the same token. Not over TCP. */
  attach?(place: { directory: string; token: string }): Attachment;
  /**
   * Arguments that depend on the address, in place of `args`: the child is a module. There is
   * no address if the channel is its standard input and output.
   */
  argsFor?(address?: Address): string[];
  /** Change how the process takes signals and exits. */
  wrap?(process: Deno.ChildProcess): Deno.ChildProcess;
  /** Remove what was made for the child: called when it has exited, and if the start fails. */
  dispose?: (() => Promise<void>) | undefined;
}

/** A `HandshakeServer` of any connections, as far as the wait for a child uses it. */
export interface Admission extends AsyncDisposable {
  readonly admitted: Promise<unknown>;
  readonly strangers: readonly Error[];
  acceptBacklog(): Promise<void>;
}

export interface Attachment {
  readonly env: Record<string, string>;
  /** The caller closes it. */
  readonly server: Admission;
}

const allHooks = new WeakMap<object, LaunchHooks>();

/** Attach hooks to the options of a call of `spawn()`, which has no parameter for them. */
export function withHooks<Options extends object>(
  options: Options,
  hooks: LaunchHooks,
): Options {
  allHooks.set(options, hooks);
  return options;
}

export function hooksOf(options: object): LaunchHooks {
  return allHooks.get(options) ?? {};
}

/** Check the options, before anything is made or started, and fill in defaults. */
export function checkOptions<O extends Options>(options: O) {
  const {
    connectTimeout = DEFAULT_CONNECT_TIMEOUT,
    gracePeriod = DEFAULT_GRACE_PERIOD,
    transport = Deno.build.os === "windows" ? "tcp" : "unix",
  } = options;
  for (const [name, delay] of Object.entries({ connectTimeout, gracePeriod })) {
    if (delay >= 0 && delay <= MAX_DELAY) continue;
    throw new RangeError(
      `Cannot use ${name}: ${delay} is not a number from 0 to ${MAX_DELAY}`,
    );
  }
  options.signal?.throwIfAborted();
  // The channel is made when the child has connected.
  checkLimits(options);
  if (!["unix", "tcp", "stdio"].includes(transport)) {
    throw new TypeError(
      `Cannot use transport: "${transport}" is none of "unix", "tcp", "stdio"`,
    );
  }
  for (const name of ["stdin", "stdout"] as const) {
    if (transport !== "stdio" || options[name] === undefined) continue;
    throw new TypeError(
      `Cannot use ${name}: "${
        options[name]
      }" with transport: "stdio": the channel is the child's standard input and output`,
    );
  }
  if (options.detached && !isHeld({ name: "run" })) {
    throw new Deno.errors.NotCapable(
      "Cannot spawn detached child: signals to its process group require --allow-run in full",
    );
  }
  return { ...options, connectTimeout, gracePeriod, transport };
}

export function commandOptions(
  options: Options,
  { module, argsFor }: LaunchHooks,
  address?: Address,
  env: Record<string, string> = {},
): Deno.CommandOptions {
  const { cwd, uid, gid, clearEnv = false, stdin, stdout, stderr } = options;
  const isChannel = options.transport === "stdio";
  // The output of a module is copied or discarded. It doesn't get the null device, because a
  // module of root could change its mode, owner and times.
  const piped = (how: typeof stdin) =>
    module === undefined || how === "inherit" ? how : "piped";
  // Those of a child that has not connected are not for its own children.
  const own = CONNECTION_VARIABLES
    .filter((variable) => !clearEnv && environment(variable) !== undefined);
  return {
    args: argsFor?.(address) ?? options.args ?? [],
    env: {
      ...Object.fromEntries(own.map((variable) => [variable, ""])),
      ...options.env,
      ...env,
      ...(log && { [DEBUG_VARIABLE]: "1" }),
    },
    clearEnv,
    stdin: isChannel ? "piped" : piped(stdin) ?? "null",
    stdout: isChannel ? "piped" : piped(stdout) ?? "inherit",
    stderr: piped(stderr) ?? "inherit",
    detached: options.detached ?? false,
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
}

/** What to do about an error of the system. */
const ADVICE: Readonly<Record<string, string>> = {
  2: "if it is there, the program that its first line names is not (does that line end in CRLF?)", // ENOENT
  7: "shorten args and env, and send long data as messages", // E2BIG
  11: "too many processes run: end some, or raise ulimit -u", // EAGAIN
  26: "another process has it open for writing", // ETXTBSY
};

/**
 * Say in an error of `Deno.Command` what to do about it.
 *
 * @param shown What the caller named, if that is not the command.
 */
export function explainStart(
  error: unknown,
  command: string | URL,
  shown = String(command),
): unknown {
  if (!(error instanceof Error)) return error;
  error.message = error.message.replaceAll(String(command), shown);
  const [, code = ""] = /\(os error (\d+)\)/.exec(error.message) ?? [];
  // ENOEXEC, EACCES
  const isModule = /^(8|13)$/.test(code) && /\.[cm]?[jt]sx?$/.test(shown);
  // A name without a slash is looked for in PATH, and is missing there.
  const isMissing = code === "2" && !shown.includes("/");
  const advice = isModule
    ? "to run a module, use spawnModule()"
    : /resolving cwd/.test(error.message)
    ? "the current directory no longer exists: set the option cwd"
    : isMissing
    ? undefined
    : ADVICE[code];
  if (advice) error.message += `: ${advice}`;
  return error;
}
