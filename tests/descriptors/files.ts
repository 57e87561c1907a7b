import { closeSync, openSync, readSync } from "node:fs";
import { assert } from "@std/assert";
import { closeDescriptor, type DescriptorSocket } from "../../descriptors.ts";
import { position } from "./libc.ts";

export async function withFile(
  contents: string,
  fn: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, contents);
    await fn(path);
  } finally {
    await Deno.remove(path);
  }
}

export async function take(descriptors: DescriptorSocket): Promise<number> {
  const descriptor = await descriptors.receive();
  assert(descriptor !== null);
  return descriptor;
}

/** Open a file `count` times, at the positions 0, 1, 2... */
export async function withFiles(
  count: number,
  fn: (descriptors: number[]) => Promise<void>,
): Promise<void> {
  await withFile("x".repeat(count), async (path) => {
    const files = Array.from({ length: count }, (_, index) => {
      const file = openSync(path, "r");
      if (index > 0) readSync(file, new Uint8Array(index));
      return file;
    });
    try {
      await fn(files);
    } finally {
      for (const file of files) closeSync(file);
    }
  });
}

/** Identify descriptors by their positions, and close them. */
export function positions(descriptors: (number | null)[]): (number | null)[] {
  return descriptors.map((descriptor) => {
    if (descriptor === null) return null;
    const at = position(descriptor);
    closeDescriptor(descriptor);
    return at;
  });
}
