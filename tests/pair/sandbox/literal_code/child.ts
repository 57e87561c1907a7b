// Deno loads a literal import() together with the module, and not when it is called.
import { connectToParent } from "../../../../pair.ts";
import { text } from "../../../../channel.ts";

await using channel = await connectToParent({ serialization: text() });
try {
  const { secret } = await import("../secret/secret.ts");
  await channel.send(secret);
} catch (error) {
  await channel.send(`refused: ${error}`);
}
