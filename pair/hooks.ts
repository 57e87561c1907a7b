/** Where other rooms and floors join in while `spawn()` starts a child: types only. */

import type { Address } from "./environment.ts";

export interface LaunchHooks {
  /** The URL of the module that is started. */
  readonly module?: string;
  /** Listen for a second connection. Not called over TCP. */
  attach?(place: { directory: string; token: string }): Attachment;
  /**
   * Arguments that depend on the address, in place of `args`: the child is a module. There is
   * no address if it is connected by its standard input and output.
   */
  argsFor?(address?: Address): string[];
  /** Start the process, in place of `Deno.Command`. */
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
  /** Variables that tell the child of it. */
  readonly env: Record<string, string>;
  /** Resolves when the child has connected. */
  connected(signal: AbortSignal): Promise<void>;
  /** Accept no more, and leave nothing in the directory. */
  dispose(): void | Promise<void>;
}
