import { text } from "../../../channel.ts";
import { spawn, spawnModule } from "../../../pair.ts";

const [kind, command = "", ...args] = Deno.args;
const serialization = text();
try {
  await using child = kind === "module"
    ? await spawnModule(command, { serialization })
    : await spawn(command, { args, serialization });
  await child.channel.send("taco cat");
  await child.channel.receive();
} catch (error) {
  if (!(error instanceof Error)) throw error;
  console.log(error.name);
}
