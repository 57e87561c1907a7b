// Sends back what it gets, over standard input and output, or over the descriptors in its arguments.
import { connectToParent } from "../../../../pair.ts";

const [input, output] = Deno.args.map(Number);
const parent = await connectToParent({
  transport: "stdio",
  ...(input !== undefined && output !== undefined &&
    { descriptors: [input, output] }),
});
for await (const message of parent) await parent.send(message);
await parent.close();
