/** How other files and the layer above take part while `spawn()` starts a child. */

import type { Address } from "./environment.ts";

export interface LaunchHooks {
  /** The URL of the module that is started. */
  readonly module?: string;
  /** Listen for a second connection. Not called over TCP. */
  attach?(place: { directory: string; token: string }): Attachment;
  /**
   * Arguments that depend on the address, in place of `args`: the child is a module. There is
   * no address if the channel is its standard input and output.
   */
  argsFor?(address?: Address): string[];
  /** Start the process in place of `Deno.Command`. */
  launch?(
    command: string | URL,
    options: Deno.CommandOptions,
  ): Deno.ChildProcess;
  /** Called if the start fails, whether or not there was a process. */
  discard?: (() => Promise<void>) | undefined;
  /** Called when the child has started; resolves when it has exited and nothing is left to do. */
  onStart?(process: Deno.ChildProcess, exited: Promise<void>): Promise<void>;
}

/** A second connection beside the channel, in the same directory and with the same token. */
export interface Attachment {
  /** Variables that tell the child about it. */
  readonly env: Record<string, string>;
  /** Resolves when the child has connected. */
  connected(signal: AbortSignal): Promise<void>;
  /** Accept no more, and leave nothing in the directory. */
  close(): void | Promise<void>;
}

/** Name what is started, for people. A module can be in its URL as a whole. */
export function nameOf(command: string | URL, { module }: LaunchHooks): string {
  if (module === undefined) return String(command);
  return `module ${module.startsWith("data:") ? "data:..." : module}`;
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
