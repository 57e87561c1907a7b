import { connectToParent, delimiter, json } from "@socketpair/socketpair";

export interface Message {
  jsonrpc: "2.0";
  id?: number | string;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { code: number; message: string };
}

function isEcho(
  params: unknown,
): params is { name: "echo"; arguments: { message: string } } {
  return JSON.stringify(params)?.startsWith('{"name":"echo"') ?? false;
}

function answer({ method, params }: Message): Partial<Message> {
  if (method === "initialize") {
    return {
      result: {
        protocolVersion: "2025-06-18",
        capabilities: { tools: {} },
        serverInfo: { name: "recipe", version: "1.0.0" },
      },
    };
  }
  if (method === "tools/list") {
    const properties = { message: { type: "string" } };
    const inputSchema = { type: "object", properties };
    return { result: { tools: [{ name: "echo", inputSchema }] } };
  }
  if (method === "tools/call" && isEcho(params)) {
    const text = `Echo: ${params.arguments.message}`;
    return { result: { content: [{ type: "text", text }] } };
  }
  return { error: { code: -32601, message: `No method ${method}` } };
}

const client = await connectToParent({
  transport: "stdio",
  framing: delimiter(),
  serialization: json<Message>(),
});
console.log("the server is up"); // to standard error, as MCP wants it
for await (const message of client) {
  const { id } = message;
  if (id === undefined) continue; // a notification
  await client.send({ jsonrpc: "2.0", id, ...answer(message) });
}
