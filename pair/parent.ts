/**
 * What only a parent needs. `pair.ts` loads it with the first child or pair, because loading it
 * takes a child 5 ms of processor time, and a sandboxed one, for which Deno compiles it anew, 20.
 */

export * from "./child.ts";
export * from "./directory.ts";
export * from "./errors.ts";
export * from "./handshake.ts";
export * from "./launch.ts";
export * from "./pipes.ts";
export * from "./process.ts";
