import { spawn } from "../../../pair.ts";

// Waits for a child that does not connect, until a signal comes
const [kind, directory = "", command = "", ...args] = Deno.args;
if (kind === "handles") Deno.addSignalListener("SIGTERM", () => Deno.exit(7));
if (kind === "throws") {
  Deno.addSignalListener("SIGTERM", () => {
    throw new Error("Nobody catches it");
  });
}
await spawn(command, { args, directory });
