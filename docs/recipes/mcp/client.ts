import { delimiter, json, spawn } from "@socketpair/socketpair";

type Message = Record<string, unknown>;
const [command = "", ...args] = Deno.args;
const lines = { framing: delimiter(), serialization: json<Message>() };
await using mcp = await spawn(command, { args, transport: "stdio", ...lines });

let id = 0;
async function call(method: string, params = {}) {
  await mcp.channel.send({ jsonrpc: "2.0", id: ++id, method, params });
  for await (const answer of mcp.channel) {
    if (answer.id === id && !answer.method) return answer.result ?? answer;
  }
}

const clientInfo = { name: "recipe", version: "1.0.0" };
const protocolVersion = "2025-06-18";
await call("initialize", { protocolVersion, capabilities: {}, clientInfo });
const method = "notifications/initialized";
await mcp.channel.send({ jsonrpc: "2.0", method });
console.log(JSON.stringify(await call("tools/list")));
const params = { name: "echo", arguments: { message: "taco cat" } };
console.log(JSON.stringify(await call("tools/call", params)));
