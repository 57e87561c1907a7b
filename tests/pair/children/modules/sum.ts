import { json } from "../../../../channel.ts";
import { connectToParent } from "../../../../pair.ts";

const parent = await connectToParent({ serialization: json<number>() });
let sum = 0;
for await (const n of parent) sum += n;
await parent.send(sum);
await parent.close();
