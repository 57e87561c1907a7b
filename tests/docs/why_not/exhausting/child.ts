import { connectToParent } from "../../../../mod.ts";

await connectToParent();
const all = [];
for (;;) all.push(new Array(10_000).fill(1.5));
