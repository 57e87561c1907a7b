/** What only a parent needs, loaded when it starts its first child. */

export { ConnectedChild } from "./child.ts";
export { waitForConnection } from "./connecting.ts";
export {
  letIn,
  makeDirectory,
  removeDirectory,
  socketPath,
  withDirectoryContext,
} from "./directory.ts";
export { HandshakeServer } from "./handshake.ts";
export {
  checkOptions,
  commandOptions,
  connectionVariables,
  explainStart,
} from "./launch.ts";
export { PipeConnection } from "./pipes.ts";
export { StartedProcess } from "./process.ts";
