import { spawn } from "../../../pair.ts";

// Never comes to its end: it is killed while its child waits for a message
const [command = "", ...args] = Deno.args;
await using child = await spawn(command, { args });
await child.channel.receive();
