/** What is checked before a child is started. */

import { checkLimits } from "../channel/sending.ts";
import { isHeld } from "./environment.ts";
import type { SpawnOptions } from "./options.ts";

const DEFAULT_CONNECT_TIMEOUT = 30_000;
const DEFAULT_GRACE_PERIOD = 5_000;

/** The longest delay of a timer in ms. */
const MAX_DELAY = 2 ** 31 - 1;

/** Check the delays among the options. */
export function delaysOf<In, Out>(
  {
    connectTimeout = DEFAULT_CONNECT_TIMEOUT,
    gracePeriod = DEFAULT_GRACE_PERIOD,
  }: SpawnOptions<In, Out>,
) {
  const delays = { connectTimeout, gracePeriod };
  for (const [name, delay] of Object.entries(delays)) {
    if (delay >= 0 && delay <= MAX_DELAY) continue;
    throw new RangeError(
      `Cannot use ${name}: ${delay} is not a number from 0 to ${MAX_DELAY}`,
    );
  }
  return delays;
}

/** Check what the start of a child needs, while nothing has been started. */
export function checkStart<In, Out>(options: SpawnOptions<In, Out>): void {
  const { cwd, detached } = options;
  // The channel is made when the child has connected.
  checkLimits(options);
  if (detached && !isHeld({ name: "run" })) {
    throw new Deno.errors.NotCapable(
      "Cannot spawn detached child: signals to its process group require --allow-run in full",
    );
  }
  if (cwd !== undefined) return;
  try {
    Deno.cwd();
  } catch (error) {
    // One that is not UTF-8 is none of ours.
    if (!(error instanceof Deno.errors.NotFound)) return;
    throw new Deno.errors.NotFound(
      "Cannot start child: the current directory does not exist any more: set the option cwd",
    );
  }
}
