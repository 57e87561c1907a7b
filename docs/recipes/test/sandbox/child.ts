import { connectToParent, json } from "@socketpair/socketpair";

const parent = await connectToParent({ serialization: json<number>() });
for await (const n of parent) {
  if (typeof n !== "number") throw new TypeError(`${n} is not a number`);
  await parent.send(2 * n);
}
