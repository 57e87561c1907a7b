import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { json } from "../../channel.ts";
import { delimiter } from "../../framing.ts";
import { JsonRpc } from "../../jsonrpc.ts";
import { spawn } from "../../pair.ts";
import { findNode, missing, packageCommand } from "../programs.ts";

const node = await findNode();
const cancelMethod = "notifications/cancelled";
const hello = {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "socketpair", version: "1.0.0" },
};

const path = (path: string) => fileURLToPath(new URL(path, import.meta.url));

Deno.test({
  name:
    "delimiter() and JsonRpc initialize an MCP server, list its tools and call one",
  ignore: node.ignore,
  async fn() {
    await using child = await spawn(packageCommand("mcp-server-everything"), {
      transport: "stdio",
      framing: delimiter(),
      serialization: json(),
      stderr: "null",
    });
    const server = new JsonRpc(child.channel, { cancelMethod });

    const { protocolVersion } = await server.request<{
      protocolVersion: string;
    }>("initialize", hello);
    assertEquals(protocolVersion, "2025-06-18");
    await server.notify("notifications/initialized");
    const { tools } = await server.request<{ tools: { name: string }[] }>(
      "tools/list",
    );
    assert(tools.some(({ name }) => name === "echo"));
    assertEquals(
      await server.request("tools/call", {
        name: "echo",
        arguments: { message: "taco\ncat" },
      }),
      { content: [{ type: "text", text: "Echo: taco\ncat" }] },
    );
    assertEquals((await child.close()).success, true);
  },
});

Deno.test({
  name: "JsonRpc answers a server of the MCP SDK, and cancels a call to it",
  ignore: node.ignore,
  async fn() {
    assert(node.command, missing);
    await using child = await spawn(node.command, {
      args: [path("node/mcp_server.mjs")],
      transport: "stdio",
      framing: delimiter(),
      serialization: json(),
    });

    const controller = new AbortController();

    const errors: unknown[] = [];
    const server = new JsonRpc(child.channel, {
      cancelMethod,
      onError: (error) => errors.push(error),
      methods: {
        ping: () => ({}),
        "notifications/message": () => controller.abort(new Error("too slow")),
      },
    });
    await server.request("initialize", hello);
    await server.notify("notifications/initialized");
    assertEquals(await server.request("tools/call", { name: "ping" }), {
      content: [{ type: "text", text: "pong" }],
    });
    const wait = server.request("tools/call", { name: "wait" }, controller);
    await assertRejects(() => wait, Error, "too slow");
    assertEquals(await server.request("tools/call", { name: "cancelled" }), {
      content: [{ type: "text", text: "cancelled" }],
    });
    assertEquals(errors, []);
  },
});

Deno.test({
  name: "docs/recipes/mcp/server.ts serves the client of the MCP SDK",
  ignore: node.ignore,
  async fn() {
    assert(node.command, missing);
    const server = path("../../docs/recipes/mcp/server.ts");
    const { success, stdout, stderr } = await new Deno.Command(node.command, {
      args: [path("node/mcp_client.mjs"), Deno.execPath(), "run", server],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
      server: { name: "recipe", version: "1.0.0" },
      ping: {},
      tools: ["echo"],
      result: { content: [{ type: "text", text: "Echo: taco cat" }] },
      error: {
        code: -32602,
        message: "MCP error -32602: There is no tool nothing",
      },
    });
  },
});
