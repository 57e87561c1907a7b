import { json, spawn } from "@socketpair/socketpair";

await using child = await spawn(Deno.args[0] ?? "node", {
  args: [new URL("./child.ts", import.meta.url).pathname],
  serialization: json<number, string[]>(),
});
await child.channel.send(["taco", "cat"]);
console.log(await child.channel.receive()); // 7
