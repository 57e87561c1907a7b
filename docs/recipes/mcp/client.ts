import { delimiter, json, spawn } from "@socketpair/socketpair";
import type { Message } from "./server.ts";

const own = ["run", new URL("./server.ts", import.meta.url).href];
const [command = Deno.execPath(), ...args] = Deno.args;
await using server = await spawn(command, {
  args: Deno.args.length > 0 ? args : own,
  transport: "stdio",
  framing: delimiter(), // a message is a line
  serialization: json<Message>(),
});

let calls = 0;
async function call(method: string, params: unknown): Promise<unknown> {
  const id = ++calls;
  await server.channel.send({ jsonrpc: "2.0", id, method, params });
  for await (const message of server.channel) {
    if (message.id !== id || message.method !== undefined) continue;
    if (message.error) throw new Error(message.error.message);
    return message.result;
  }
  throw new Error("The server has left");
}

await call("initialize", {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "recipe", version: "1.0.0" },
});
await server.channel.send({
  jsonrpc: "2.0",
  method: "notifications/initialized",
});
console.log(JSON.stringify(await call("tools/list", {})));
console.log(JSON.stringify(
  await call("tools/call", {
    name: "echo",
    arguments: { message: "taco cat" },
  }),
));
