import { json } from "../../../channel.ts";
import { spawnModule } from "../../../pair.ts";

// Was started with descriptors 3 and up, and says what its child can do with them
try {
  await using child = await spawnModule(
    new URL("../sandbox/descriptors/child.ts", import.meta.url),
    {
      serialization: json(),
      // Deno's own descriptors have numbers too: one of them may be this
      stdout: "null",
      permissions: Deno.args[0] === "inherit" ? "inherit" : "none",
    },
  );
  console.log(JSON.stringify(await child.channel.receive()));
} catch (error) {
  if (!(error instanceof Error)) throw error;
  console.log(error.message);
}
