import { assert, assertEquals } from "@std/assert";
import { json } from "../../channel.ts";
import { contentLength } from "../../framing.ts";
import { spawn } from "../../pair.ts";
import { findNode, packageCommand } from "../programs.ts";
import { Caller, type Message } from "./json_rpc.ts";

const node = await findNode();

interface Diagnostics {
  uri: string;
  diagnostics: { code: number; message: string }[];
}

function hasDiagnostics(params: unknown): params is Diagnostics {
  return typeof params === "object" && params !== null &&
    "diagnostics" in params && Array.isArray(params.diagnostics) &&
    params.diagnostics.length > 0;
}

const servers = [
  { name: "deno lsp", command: Deno.execPath(), args: ["lsp"], ignore: false },
  {
    name: "typescript-language-server",
    command: packageCommand("typescript-language-server"),
    args: ["--stdio"],
    ignore: node.ignore,
  },
];

for (const { name, command, args, ignore } of servers) {
  Deno.test({
    name:
      `contentLength() initializes ${name}, opens a file, gets its diagnostics, and shuts down`,
    ignore,
    async fn() {
      await using child = await spawn(command, {
        args,
        transport: "stdio",
        framing: contentLength(),
        serialization: json<Message>(),
        stderr: "null",
      });
      const server = new Caller(child.channel);

      const rootUri = new URL("./node", import.meta.url).href;
      const initialized = await server.call("initialize", {
        processId: Deno.pid,
        rootUri,
        capabilities: { textDocument: { publishDiagnostics: {} } },
        initializationOptions: {
          enable: true,
          // One process without downloads is enough
          disableAutomaticTypingAcquisition: true,
          tsserver: { useSyntaxServer: "never" },
        },
      });
      assert(typeof initialized === "object" && initialized);
      assert("capabilities" in initialized);
      await server.notify("initialized", {});

      const uri = `${rootUri}/unwritten.ts`;
      await server.notify("textDocument/didOpen", {
        textDocument: {
          uri,
          languageId: "typescript",
          version: 1,
          text: 'export const taco: number = "cat";\n',
        },
      });
      const found = await server.notified(
        "textDocument/publishDiagnostics",
        hasDiagnostics,
      );
      assertEquals(found.uri, uri);
      assertEquals(
        found.diagnostics.map(({ code, message }) => [code, message]),
        [
          [2322, "Type 'string' is not assignable to type 'number'."],
        ],
      );

      assertEquals(await server.call("shutdown"), null);
      await server.notify("exit");
      assertEquals((await child.status).success, true);
    },
  });
}
