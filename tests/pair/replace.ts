import { assert } from "@std/assert";

/** Replace a member of `Deno` until the end of the block. */
export function replace<K extends keyof typeof Deno>(
  name: K,
  value: (typeof Deno)[K],
): Disposable {
  const original = Object.getOwnPropertyDescriptor(Deno, name);
  assert(original);
  Object.defineProperty(Deno, name, {
    value,
    configurable: true,
    enumerable: true,
  });
  return {
    [Symbol.dispose]: () => Object.defineProperty(Deno, name, original),
  };
}

/** Set an environment variable until the end of the block. */
export function setVariable(name: string, value: string): Disposable {
  const original = Deno.env.get(name);
  Deno.env.set(name, value);
  return {
    [Symbol.dispose]() {
      if (original === undefined) Deno.env.delete(name);
      else Deno.env.set(name, original);
    },
  };
}

/** Fails if a process is started until the end of the block. */
export function noProcess(): Disposable {
  return replace(
    "Command",
    class extends Deno.Command {
      override spawn(): never {
        throw new Error("A process was started");
      }
    },
  );
}

/** Timers that ring when the test says so, however busy the machine is. */
export interface HeldTimers extends Disposable {
  /** Resolves once there is one. */
  held(): Promise<void>;
  /** Let the longest waiting ring, once there is one. */
  ring(): Promise<void>;
}

type Timer = Parameters<typeof clearTimeout>[0];

/** Longer than any test. */
const NEVER = 2 ** 31 - 1;

/** Hold back the timers of some delays until the end of the block. */
export function holdTimers(isHeld: (delay: number) => boolean): HeldTimers {
  const { setTimeout, clearTimeout } = globalThis;
  const callbacks = new Map<Timer, () => void>();
  let onHeld = () => {};
  const hold = (
    callback: (...args: unknown[]) => void,
    delay = 0,
    ...args: unknown[]
  ) => {
    if (!isHeld(delay)) return setTimeout(callback, delay, ...args);
    const timer = setTimeout(() => {}, NEVER);
    callbacks.set(timer, () => callback(...args));
    onHeld();
    return timer;
  };
  globalThis.setTimeout = Object.assign(hold, setTimeout);
  globalThis.clearTimeout = (timer) => {
    callbacks.delete(timer);
    clearTimeout(timer);
  };
  async function held() {
    while (callbacks.size === 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      onHeld = resolve;
      await promise;
    }
  }
  return {
    held,
    async ring() {
      await held();
      for (const [timer, callback] of callbacks) {
        globalThis.clearTimeout(timer);
        callback();
        return;
      }
    },
    [Symbol.dispose]: () =>
      void Object.assign(globalThis, { setTimeout, clearTimeout }),
  };
}
