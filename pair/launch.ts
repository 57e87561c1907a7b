/** What is needed to start a child: checks, its environment, and errors that say what to do. */

import type { AnySerialization } from "../channel.ts";
import { checkLimits } from "../channel/message_writer.ts";
import {
  type Address,
  DEBUG_VARIABLE,
  environment,
  isHeld,
  log,
  PATH_VARIABLE,
  PORT_VARIABLE,
  TOKEN_VARIABLE,
} from "./environment.ts";
import type { LaunchHooks } from "./hooks.ts";
import type { SpawnOptions } from "./options.ts";

type Options = SpawnOptions<AnySerialization>;

const DEFAULT_CONNECT_TIMEOUT = 30_000;
const DEFAULT_GRACE_PERIOD = 5_000;

/** The longest delay of a timer in ms. */
const MAX_DELAY = 2 ** 31 - 1;

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
  if (options.cwd === undefined) requireCurrentDirectory();
  return { ...options, connectTimeout, gracePeriod, transport };
}

function requireCurrentDirectory() {
  try {
    Deno.cwd();
  } catch (error) {
    // A path that is not UTF-8 does no harm.
    if (!(error instanceof Deno.errors.NotFound)) return;
    throw new Deno.errors.NotFound(
      "Cannot start child: the current directory no longer exists: set the option cwd",
    );
  }
}

/** The variables that tell a child where to connect. */
export function connectionVariables(
  address: Address,
  token: string,
): Record<string, string> {
  return {
    ..."path" in address
      ? { [PATH_VARIABLE]: address.path }
      : { [PORT_VARIABLE]: String(address.port) },
    [TOKEN_VARIABLE]: token,
  };
}

/** The variables of this process that its own children must not inherit, if it is a child that has not connected. */
function hidden(): Record<string, string> {
  return Object.fromEntries(
    [PATH_VARIABLE, PORT_VARIABLE, TOKEN_VARIABLE]
      .filter((variable) => environment(variable) !== undefined)
      .map((variable) => [variable, ""]),
  );
}

/** The options of `Deno.Command` for a child. */
export function commandOptions(
  options: Options,
  { module, argsFor }: LaunchHooks,
  address?: Address,
  env: Record<string, string> = {},
): Deno.CommandOptions {
  const { cwd, uid, gid, clearEnv = false, stdin, stdout, stderr } = options;
  const isChannel = options.transport === "stdio";
  // The output of a module is copied.
  const output = module === undefined ? "inherit" : "piped";
  return {
    args: argsFor?.(address) ?? options.args ?? [],
    env: {
      ...(!clearEnv && hidden()),
      ...options.env,
      ...env,
      ...(log && { [DEBUG_VARIABLE]: "1" }),
    },
    clearEnv,
    stdin: isChannel ? "piped" : stdin ?? "null",
    stdout: isChannel ? "piped" : stdout ?? output,
    stderr: stderr ?? output,
    detached: options.detached ?? false,
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
}

/** Say in an error of `Deno.Command` what to do about it. */
export function explainStart(
  error: unknown,
  command: string | URL,
): unknown {
  if (!(error instanceof Error)) return error;
  const [, code] = /\(os error (\d+)\)/.exec(error.message) ?? [];
  const advice = code && adviceOn(Number(code), String(command));
  if (advice) error.message += `: ${advice}`;
  return error;
}

function adviceOn(code: number, command: string): string | undefined {
  switch (code) {
    case 2: // ENOENT
      return isFile(command)
        ? "it is there, but the program that its first line names is not (is the line's end CRLF?)"
        : undefined;
    case 7: // E2BIG
      return "shorten args and env, and send long data as messages";
    case 8: // ENOEXEC
    case 13: // EACCES
      return /\.[cm]?[jt]sx?$/.test(command)
        ? "to run a module, use spawnModule()"
        : undefined;
    case 11: // EAGAIN
      return "too many processes run: end some, or raise ulimit -u";
    case 26: // ETXTBSY
      return "another process has it open for writing";
  }
}

/** Whether there is a file, as far as this process may know. */
function isFile(command: string): boolean {
  const path = command.replace(/^file:\/\//, "");
  try {
    return isHeld({ name: "read", path }) && Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
