import { connectToParent, delimiter, json } from "@socketpair/socketpair";
import { JsonRpc, JsonRpcError } from "@socketpair/socketpair/jsonrpc";

const echo = {
  name: "echo",
  inputSchema: {
    type: "object",
    properties: { message: { type: "string" } },
    required: ["message"],
  },
};

const methods = {
  initialize: () => ({
    protocolVersion: "2025-06-18",
    capabilities: { tools: {} },
    serverInfo: { name: "recipe", version: "1.0.0" },
  }),
  ping: () => ({}),
  "tools/list": () => ({ tools: [echo] }),
  "tools/call"(call?: { name?: string; arguments?: { message?: unknown } }) {
    if (call?.name !== echo.name) {
      throw new JsonRpcError(-32602, `There is no tool ${call?.name}`);
    }
    const text = `Echo: ${call.arguments?.message}`;
    return { content: [{ type: "text", text }] };
  },
};

const client = await connectToParent({
  transport: "stdio",
  framing: delimiter(),
  serialization: json(),
});
console.log("the server is up"); // to standard error, as MCP wants it
new JsonRpc(client, { methods, cancelMethod: "notifications/cancelled" });
