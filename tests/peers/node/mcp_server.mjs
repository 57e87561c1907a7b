// A server of the MCP SDK with a tool that takes until it is cancelled, one that waits for that, and one that asks the client.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";

const server = new McpServer(
  { name: "sdk", version: "1.0.0" },
  { capabilities: { logging: {} } },
);
let cancel;
const cancelled = new Promise((resolve) => cancel = resolve);
server.registerTool("wait", {}, async ({ signal, sendNotification }) => {
  signal.addEventListener("abort", cancel);
  await sendNotification({
    method: "notifications/message",
    params: { level: "info", data: "waits" },
  });
  await cancelled;
  return { content: [] };
});
server.registerTool("cancelled", {}, async () => {
  await cancelled;
  return { content: [{ type: "text", text: "cancelled" }] };
});
server.registerTool("ping", {}, async () => {
  await server.server.ping();
  return { content: [{ type: "text", text: "pong" }] };
});
await server.connect(new StdioServerTransport());
