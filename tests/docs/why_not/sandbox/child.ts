/** The child of `spawnModule()`: it does what its first argument says. */
import { connectToParent, structured } from "../../../../mod.ts";

const [task] = Deno.args;
const parent = await connectToParent({ serialization: structured() });
let count = 0;

function exhaust() {
  const all = [];
  for (;;) all.push(new Array(10_000).fill(1.5));
}

for await (const message of parent) {
  count++;
  switch (task) {
    case "throw":
      throw new Error("The child fails");
    case "exhaust":
      exhaust();
      break;
    case "bytes":
      await parent.send(message instanceof Uint8Array);
      break;
    case "print":
      console.log("for people");
      await parent.send("for the parent");
      break;
    case "count":
      if (message === "how many") await parent.send(count - 1);
  }
}
