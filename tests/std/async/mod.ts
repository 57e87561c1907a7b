// @std/async as npm has it, with the types that its JavaScript lacks: see CONTRIBUTING.md
import * as lib from "deno-std/async/retry.js";

/** Call a function until it succeeds, with a growing time between the calls. */
export const retry: <T>(
  fn: () => Promise<T>,
  options?: {
    maxAttempts?: number;
    minTimeout?: number;
    maxTimeout?: number;
    multiplier?: number;
    jitter?: number;
  },
) => Promise<T> = lib.retry;
