// Deno checks no permission for a static import of the main module.
import secret from "../secret/secret.json" with { type: "json" };
import { connectToParent } from "../../../../pair.ts";
import { text } from "../../../../channel.ts";

await using channel = await connectToParent({ serialization: text() });
await channel.send(secret.secret);
