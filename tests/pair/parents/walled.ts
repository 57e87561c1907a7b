/** Starts a module behind the second wall, with its own output, and waits indefinitely. */
import { text } from "../../../channel.ts";
import { spawnModule } from "../../../pair.ts";

try {
  const child = await spawnModule(Deno.args[0] ?? "", {
    serialization: text(),
    wall: "bubblewrap",
    stdout: "inherit",
  });
  console.log(await child.channel.receive());
  await child.channel.receive();
} catch (error) {
  if (!(error instanceof Deno.errors.NotSupported)) throw error;
  const [, , why = ""] = error.message.split(": ");
  console.log(`${error.name}: ${why}`);
}
