import { connectToParent } from "../../../../pair.ts";

const parent = await connectToParent();
for await (const message of parent) await parent.send(message);
await parent.close();
