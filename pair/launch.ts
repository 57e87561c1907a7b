/** What is needed to start a child: checks, its environment, and errors that say what to do. */

import type { AnySerialization } from "../channel.ts";
import { checkLimits } from "../channel/sending.ts";
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
import { standardStreams } from "./pipes.ts";

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
  const { cwd, uid, gid, clearEnv = false } = options;
  return {
    args: argsFor?.(address) ?? options.args ?? [],
    env: {
      ...(!clearEnv && hidden()),
      ...options.env,
      ...env,
      ...(log && { [DEBUG_VARIABLE]: "1" }),
    },
    clearEnv,
    ...standardStreams(options, module !== undefined),
    detached: options.detached ?? false,
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
}

/** What the errors of the system mean. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/\(os error 7\)/, ": shorten args and env, or send the data as a message"],
  [
    /\(os error 11\)/,
    ": the user or the container has too many processes (ulimit -u)",
  ],
  [/\(os error 26\)/, ": another process has the file open for writing"],
];

/** Say in an error of `Deno.Command` what to do about it. */
export function explainStart(
  error: unknown,
  command: string | URL,
  { module }: LaunchHooks,
): unknown {
  if (!(error instanceof Error)) return error;
  if (module !== undefined) {
    // It is a shell or deno that could not be started, which the caller has not named.
    error.message = error.message.replace(
      /^Failed to spawn '.*': /,
      `Cannot start module ${module}: `,
    );
  }
  const [, advice] = ADVICE.find(([code]) => code.test(error.message)) ?? [];
  error.message += advice ?? fileAdvice(error, String(command));
  return error;
}

/** What to do about a file that the system does not execute. */
function fileAdvice({ message }: Error, command: string): string {
  if (/\(os error (8|13)\)/.test(message) && /\.[cm]?[jt]sx?$/.test(command)) {
    return ": to run a module, use spawnModule()";
  }
  // The system says this of a script whose first line names a program that is not there.
  if (!/\(os error 2\)/.test(message)) return "";
  try {
    const path = command.startsWith("file:") ? new URL(command) : command;
    if (!isHeld({ name: "read", path }) || !Deno.statSync(path).isFile) {
      return "";
    }
    return `: the file is there, but the program that its first line (#!) or its header names is not`;
  } catch {
    return "";
  }
}
