import { delimiter, json, spawn } from "@socketpair/socketpair";
import { JsonRpc } from "@socketpair/socketpair/jsonrpc";

const [command = "", ...args] = Deno.args;
const lines = { framing: delimiter(), serialization: json() };
await using mcp = await spawn(command, { args, transport: "stdio", ...lines });
const cancelMethod = "notifications/cancelled";
const server = new JsonRpc(mcp.channel, { cancelMethod });

const clientInfo = { name: "recipe", version: "1.0.0" };
const hello = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
await server.request("initialize", hello);
await server.notify("notifications/initialized");
console.log(JSON.stringify(await server.request("tools/list")));
const params = { name: "echo", arguments: { message: "taco cat" } };
console.log(JSON.stringify(await server.request("tools/call", params)));
