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
