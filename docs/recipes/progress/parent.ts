import { json, spawnModule } from "@socketpair/socketpair";
import { progress } from "@clack/prompts";
import type { Progress } from "./sandbox/child.ts";

const url = import.meta.resolve("./sandbox/child.ts");
await using child = await spawnModule(url, {
  args: ["50"],
  serialization: json<Progress>(),
});

let bar;
let last = 0;
for await (const { done, total } of child.channel) {
  if (bar === undefined) {
    bar = progress({ max: total });
    bar.start("Counting");
  }
  bar.advance(done - last, `${done} of ${total}`);
  last = done;
}
bar?.stop(`Counted ${last}`);
