// Says something, and crashes.
import { connectToParent, text } from "../../../../mod.ts";

const parent = await connectToParent({ serialization: text() });
await parent.send("last words");
await parent.flush();
Deno.exit(1);
