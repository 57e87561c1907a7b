/**
 * A child process: its signals, its exit, and what its exit means.
 *
 * A detached child is a process group, which may outlive it. The system reuses the number of a
 * group that has ended, so a group that was once not found is never signaled again.
 */

import { type Failure, markHandled } from "../channel/waiters.ts";
import { log, messageOf } from "./environment.ts";
import { describeStatus, ExitError, telling } from "./errors.ts";
import type { LaunchHooks } from "./launch.ts";
import { emptyPipes, LineCopy, type PipeOptions } from "./pipes.ts";
import { END_WAIT, within } from "./time_limits.ts";

/** How soon to look again whether a process group has ended, in ms. */
const GROUP_INTERVAL = 10;

/** Signals that ask a program to end, however it responds. */
const ENDING: ReadonlySet<Deno.Signal> = new Set([
  "SIGABRT",
  "SIGHUP",
  "SIGINT",
  "SIGKILL",
  "SIGQUIT",
  "SIGTERM",
]);

const processes = new Set<StartedProcess>();

/** A parent that ends kills its children. */
function killAll() {
  for (const process of processes) {
    try {
      process.kill("SIGKILL");
    } catch {
      // It belongs to another user.
    }
  }
}

function exists(pid: number): boolean {
  try {
    Deno.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied;
  }
}

export class StartedProcess {
  readonly process: Deno.ChildProcess;
  readonly name: string;
  readonly exited: Promise<void>;
  /** Resolves when nothing is left to do for it, some time after it has exited. */
  readonly finished: Promise<unknown>;
  hasExited = false;
  /** How it exited, if it has and the system tells: not if SIGCHLD is ignored. */
  status: Deno.CommandStatus | undefined;
  /** Whether this process asked it to end. */
  isAsked = false;
  readonly #shortName: string;
  readonly #isDetached: boolean;
  #stderr: LineCopy | undefined;
  readonly #signals = new Set<Deno.Signal>();
  /** Whether signals reach nobody. The number may then belong to another process or group. */
  #isGone = false;
  #error: ExitError | undefined;
  #reason: Failure | undefined;

  constructor(
    process: Deno.ChildProcess,
    command: string | URL,
    options: PipeOptions & { detached?: boolean | undefined },
    hooks: LaunchHooks,
  ) {
    this.process = hooks.wrap?.(process) ?? process;
    this.#isDetached = options.detached ?? false;
    const { module } = hooks;
    this.name = module === undefined
      ? String(command)
      : `module ${module.replace(/^data:[^]*/, "data:...")}`;
    this.#shortName = this.name.replace(/[?#].*$/, "")
      .replace(/^(module )?.*[\\/]/, "$1");
    this.exited = this.process.status.then(
      (status) => this.#onExit(describeStatus(status), status),
      (error) => this.#onExit(messageOf(error)),
    );
    const copies = module === undefined ? [] : this.#copyOutput(options);
    this.finished = markHandled(Promise.all([
      this.exited.then(() => hooks.dispose?.()),
      ...copies.map((copy) => copy.ended),
    ]));
    if (processes.size === 0) addEventListener("unload", killAll);
    processes.add(this);
  }

  get pid(): number {
    return this.process.pid;
  }

  /** Copy or discard the output of a module, as far as it is not the caller's. */
  #copyOutput(options: PipeOptions): LineCopy[] {
    const { process, exited } = this;
    const isChannel = options.transport === "stdio";
    const copy = (name: "stdout" | "stderr") => {
      const how = options[name];
      if (how === "piped" || how === "inherit") return [];
      const sink = how === "null" ? undefined : Deno[name];
      return [new LineCopy(process[name], sink, exited)];
    };
    if (!isChannel && (options.stdin ?? "null") === "null") {
      markHandled(process.stdin.close());
    }
    const stderr = copy("stderr");
    if (options.stderr === undefined) [this.#stderr] = stderr;
    return [...stderr, ...isChannel ? [] : copy("stdout")];
  }

  #onExit(how: string, status?: Deno.CommandStatus) {
    this.hasExited = true;
    this.status = status;
    log?.(`child ${this.pid} exited: ${how}`);
    if (this.#isDetached) this.#signal(0);
    else this.#forget();
  }

  #forget() {
    this.#isGone = true;
    processes.delete(this);
    if (processes.size === 0) removeEventListener("unload", killAll);
  }

  /** Send a signal to the process, or to its group; 0 only looks whether there is one. */
  #signal(signal: Deno.Signal | 0) {
    if (this.#isGone) return;
    // The system gives no process the number of a group that has a member.
    if (this.hasExited && exists(this.pid)) return this.#forget();
    try {
      if (this.#isDetached) Deno.kill(-this.pid, signal);
      else if (signal !== 0) this.process.kill(signal);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) this.#forget();
      // Deno throws a TypeError if it has exited, and this process does not know yet.
      else if (/terminated/.test(messageOf(error)) || signal === 0) return;
      else throw error;
    }
  }

  /** Send a signal. If it is one that ends programs, the exit is not a crash. */
  kill(signal: Deno.Signal) {
    this.#signal(signal);
    if (this.hasExited) return;
    if (ENDING.has(signal)) this.isAsked = true;
    else this.#signals.add(signal);
  }

  /** The process is asked to end; its channel is to report why, if that is given. */
  ask(reason?: Failure) {
    if (this.hasExited) return;
    this.isAsked = true;
    this.#reason ??= reason;
  }

  /**
   * Wait until the process and its group have ended: send SIGTERM after `delay` ms, and SIGKILL
   * after another `gracePeriod` ms. What the process leaves of its group gets SIGTERM at once.
   */
  async end(delay: number, gracePeriod: number): Promise<void> {
    const hasExited = this.exited.then(() => true);
    if (!await within(delay, hasExited)) {
      this.kill("SIGTERM");
      if (!await within(gracePeriod, hasExited)) this.kill("SIGKILL");
      await hasExited;
    }
    this.kill("SIGTERM");
    const end = performance.now() + gracePeriod;
    while (!this.#isGone && performance.now() < end) {
      await within(GROUP_INTERVAL);
      this.#signal(0);
    }
    this.kill("SIGKILL");
    this.#forget();
  }

  /**
   * Kill a process that the caller does not get.
   *
   * @returns The end of what it wrote to standard error, if that is not the caller's.
   */
  async abort(pipes: PipeOptions): Promise<string | undefined> {
    const { process } = this;
    const stderr = this.#stderr ??
      (pipes.stderr === "piped"
        ? new LineCopy(process.stderr, undefined, this.exited)
        : undefined);
    const closePipes = emptyPipes(process, pipes);
    try {
      this.#signal("SIGKILL");
      await Promise.all([this.exited, this.finished, stderr?.ended]);
      this.#forget();
    } catch (error) {
      // It belongs to another user. Why the caller does not get it is more important.
      log?.(`could not kill child ${this.pid}: ${messageOf(error)}`);
      stderr?.cancel();
      process.unref();
    }
    await within(END_WAIT, closePipes());
    return stderr?.tail;
  }

  /** What the channel reports in place of its end: a crash, or why the process was asked to end. */
  async failure(cause?: unknown): Promise<Failure | undefined> {
    if (this.#reason) return this.#reason;
    const { status } = this;
    if (!status || status.success || this.isAsked) return;
    if (status.signal && this.#signals.has(status.signal)) return;
    await this.#stderr?.ended;
    const { pid } = this;
    const end = status.signal === null
      ? `exited with code ${status.code}`
      : `was killed by ${status.signal}`;
    const stderr = this.#stderr?.tail;
    this.#error ??= new ExitError(
      `Child ${pid} (${this.#shortName}) ${end}${telling(stderr)}`,
      { status, pid, stderr },
    );
    if (cause !== undefined) this.#error.cause ??= cause;
    return { reason: this.#error };
  }
}
