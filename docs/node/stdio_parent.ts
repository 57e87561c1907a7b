import { json, spawn } from "@socketpair/socketpair";

await using child = await spawn(Deno.args[0] ?? "node", {
  args: [new URL("./stdio_child.ts", import.meta.url).pathname],
  transport: "stdio",
  serialization: json<number, string[]>(),
});
await child.channel.send(["taco", "cat"]);
console.log(await child.channel.receive()); // 7
