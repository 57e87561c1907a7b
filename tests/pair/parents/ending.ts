// Starts a child that never ends by itself, writes its process id, and ends without closing it
import { spawn } from "../../../pair.ts";

const [how, detached] = Deno.args;
const child = await spawn("sleep", {
  args: ["600"],
  transport: "stdio",
  detached: detached === "detached",
});
Deno.stdout.writeSync(new TextEncoder().encode(`${child.pid}`));
if (how === "exit") Deno.exit(3);
if (how === "throw") throw new Error("Nobody catches it");
child.process.unref();
