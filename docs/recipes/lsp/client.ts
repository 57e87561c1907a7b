import { contentLength, json, spawn } from "@socketpair/socketpair";

interface Message {
  jsonrpc: "2.0";
  id?: number | string;
  method?: string;
  params?: unknown;
  result?: unknown;
}

interface Diagnostics {
  diagnostics: { message: string; range: { start: { line: number } } }[];
}

const [path = "", command = Deno.execPath(), ...args] = Deno.args;
await using server = await spawn(command, {
  args: args.length > 0 ? args : ["lsp"],
  transport: "stdio",
  framing: contentLength(),
  serialization: json<Message>(),
  stderr: "null",
});
const { channel } = server;

function tell(method: string, params: unknown, id?: number): Promise<void> {
  return channel.send({ jsonrpc: "2.0", ...(id && { id }), method, params });
}
/** Wait for what is wanted; what the server itself asks for is answered by null. */
async function receive(isWanted: (message: Message) => boolean) {
  for await (const message of channel) {
    if (isWanted(message)) return message;
    const { id, method } = message;
    if (id !== undefined && method !== undefined) {
      await channel.send({ jsonrpc: "2.0", id, result: null });
    }
  }
  throw new Error("The server has left");
}

await tell("initialize", {
  processId: Deno.pid,
  capabilities: {},
  initializationOptions: { enable: true },
}, 1);
await receive(({ id }) => id === 1);
await tell("initialized", {});
const uri = new URL(path, `file://${Deno.cwd()}/`).href;
const text = await Deno.readTextFile(path);
const textDocument = { uri, languageId: "typescript", version: 1, text };
await tell("textDocument/didOpen", { textDocument });
const { params } = await receive(({ method }) =>
  method === "textDocument/publishDiagnostics"
);
for (const { message, range } of (params as Diagnostics).diagnostics) {
  console.log(`${path}:${range.start.line + 1} ${message}`);
}

await tell("shutdown", undefined, 2);
await receive(({ id }) => id === 2);
await tell("exit", undefined);
