/**
 * What only a parent needs. `pair.ts` loads it with the first child or pair, because loading it
 * takes a child 5 ms of processor time, and a sandboxed one, for which Deno compiles it anew, 20.
 */

export { ConnectedChild } from "./child.ts";
export {
  letIn,
  makeDirectory,
  removeDirectory,
  socketPath,
  withDirectoryContext,
} from "./directory.ts";
export { addStderr } from "./errors.ts";
export { HandshakeServer, waitForConnection } from "./handshake.ts";
export {
  checkOptions,
  commandOptions,
  connectionVariables,
  explainStart,
  hooksOf,
  withHooks,
} from "./launch.ts";
export { pipeConnection } from "./pipes.ts";
export { StartedProcess } from "./process.ts";
