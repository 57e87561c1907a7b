import { contentLength, json, spawn } from "@socketpair/socketpair";
import { JsonRpc } from "@socketpair/socketpair/jsonrpc";

interface Diagnostics {
  diagnostics: { message: string; range: { start: { line: number } } }[];
}

const [path = "", command = Deno.execPath(), ...args] = Deno.args;
await using child = await spawn(command, {
  args: args.length > 0 ? args : ["lsp"],
  transport: "stdio",
  framing: contentLength(),
  serialization: json(),
  stderr: "null",
});

const published = Promise.withResolvers<Diagnostics>();
const server = new JsonRpc(child.channel, {
  methods: {
    // Servers publish an empty list first, and again when they have found something.
    "textDocument/publishDiagnostics"(found: Diagnostics) {
      if (found.diagnostics.length > 0) published.resolve(found);
    },
  },
});
const giveUp = () => published.resolve({ diagnostics: [] });
const timer = setTimeout(giveUp, 30_000);
server.closed.then(giveUp, published.reject);

await server.request("initialize", {
  processId: Deno.pid,
  // A server publishes diagnostics only to clients that announce to use them.
  capabilities: { textDocument: { publishDiagnostics: {} } },
  initializationOptions: { enable: true },
});
await server.notify("initialized", {});
const uri = new URL(path, `file://${Deno.cwd()}/`).href;
const text = await Deno.readTextFile(path);
const textDocument = { uri, languageId: "typescript", version: 1, text };
await server.notify("textDocument/didOpen", { textDocument });
for (const { message, range } of (await published.promise).diagnostics) {
  console.log(`${path}:${range.start.line + 1} ${message}`);
}

clearTimeout(timer);
await server.request("shutdown");
await server.notify("exit");
