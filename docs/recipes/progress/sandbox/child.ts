import { connectToParent, json } from "@socketpair/socketpair";

export interface Progress {
  done: number;
  total: number;
}

const parent = await connectToParent({ serialization: json<Progress>() });
const total = Number(Deno.args[0]);
for (let done = 1; done <= total; done++) {
  await work();
  await parent.send({ done, total });
}
await parent.close();

/** A placeholder for real work. */
function work() {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
