import { text } from "../../../channel.ts";
import { spawnModule } from "../../../pair.ts";

// Starts a module, and says what it sends first, or why it did not start
const [specifier = "", stderr, stdout] = Deno.args;
try {
  await using child = await spawnModule(specifier, {
    serialization: text(),
    ...stderr !== "copied" && { stderr: "null" as const },
    ...stdout === "inherit" && { stdout },
  });
  console.log(await child.channel.receive());
} catch (error) {
  if (!(error instanceof Error)) throw error;
  console.log(error.message);
}
