import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { json } from "../../channel.ts";
import { contentLength } from "../../framing.ts";
import { JsonRpc } from "../../jsonrpc.ts";
import { spawn } from "../../pair.ts";
import { findNode, findRuntime, missing, type Program } from "../programs.ts";

interface Diagnostics {
  uri: string;
  diagnostics: { code: number; message: string }[];
}

const node = await findNode();
// It needs a newer Node than other peers do.
const runtime = await findRuntime("node");
const cli = fileURLToPath(
  new URL(
    "node/node_modules/typescript-language-server/lib/cli.mjs",
    import.meta.url,
  ),
);

const deno: Program = { command: Deno.execPath(), ignore: false };
const servers = [
  { name: "deno lsp", program: deno, args: ["lsp"] },
  {
    name: "typescript-language-server",
    program: { ...runtime, ignore: node.ignore || runtime.ignore },
    args: [cli, "--stdio"],
  },
];

for (const { name, program, args } of servers) {
  Deno.test({
    name:
      `contentLength() and JsonRpc initialize ${name}, open a file, get its diagnostics, and shut it down`,
    ignore: program.ignore,
    async fn() {
      assert(program.command, missing);
      await using child = await spawn(program.command, {
        args,
        transport: "stdio",
        framing: contentLength(),
        serialization: json(),
        stderr: "null",
      });
      const found = Promise.withResolvers<Diagnostics>();
      const server = new JsonRpc(child.channel, {
        methods: {
          "textDocument/publishDiagnostics"(published: Diagnostics) {
            if (published.diagnostics.length > 0) found.resolve(published);
          },
        },
      });

      const rootUri = new URL("./node", import.meta.url).href;
      const { capabilities } = await server.request<{ capabilities: object }>(
        "initialize",
        {
          processId: Deno.pid,
          rootUri,
          capabilities: { textDocument: { publishDiagnostics: {} } },
          initializationOptions: {
            enable: true,
            // One process without downloads is enough
            disableAutomaticTypingAcquisition: true,
            tsserver: { useSyntaxServer: "never" },
          },
        },
      );
      assert("textDocumentSync" in capabilities);
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
      const { diagnostics, ...published } = await found.promise;
      assertEquals(published.uri, uri);
      assertEquals(
        diagnostics.map(({ code, message }) => [code, message]),
        [[2322, "Type 'string' is not assignable to type 'number'."]],
      );

      assertEquals(await server.request("shutdown"), null);
      await server.notify("exit");
      assertEquals((await child.status).success, true);
    },
  });
}

Deno.test({
  name:
    "docs/recipes/lsp/client.ts shows what typescript-language-server finds",
  ignore: node.ignore || runtime.ignore,
  async fn() {
    assert(runtime.command, missing);
    const path = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(path, '\nexport const taco: number = "cat";\n');
    const client = fileURLToPath(
      new URL("../../docs/recipes/lsp/client.ts", import.meta.url),
    );
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      { args: ["run", "-A", client, path, runtime.command, cli, "--stdio"] },
    ).output();
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(
      new TextDecoder().decode(stdout),
      `${path}:2 Type 'string' is not assignable to type 'number'.\n`,
    );
    await Deno.remove(path);
  },
});
