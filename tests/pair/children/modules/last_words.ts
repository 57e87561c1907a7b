import { text } from "../../../../channel.ts";
import { connectToParent } from "../../../../pair.ts";

const parent = await connectToParent({ serialization: text() });
// Says on standard output, which outlives the parent, how its parent's end came
const ended = parent.receive().then(String, (error) => error.name);
console.log("connected");
console.log(await ended);
