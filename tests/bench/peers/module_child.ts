// The child of module.ts.

import { connectToParent } from "../../../mod.ts";

const parent = await connectToParent();
await parent.send(new Uint8Array(Number(Deno.args[0])));
await parent.receive();
