import { spawnModule, text } from "@socketpair/socketpair";
import { RpcSession } from "capnweb";
import type { Kitchen } from "./child.ts";
import { transportOf } from "./transport.ts";

await using child = await spawnModule(new URL("./child.ts", import.meta.url), {
  serialization: text(),
  npmCache: true, // the child imports capnweb
});
const session = new RpcSession<Kitchen>(transportOf(child.channel));
using kitchen = session.getRemoteMain();

console.log(await kitchen.reverse("taco cat")); // tac ocat
await kitchen.cook(["taco", "soup"], (dish) => console.log(dish)); // taco, soup
for await (const n of await kitchen.numbers()) console.log(n); // 1, 2, 3
