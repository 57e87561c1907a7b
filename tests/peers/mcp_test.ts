import { assert, assertEquals } from "@std/assert";
import { json } from "../../channel.ts";
import { delimiter } from "../../framing.ts";
import { spawn } from "../../pair.ts";
import { findNode, packageCommand } from "../programs.ts";
import { Caller, type Message } from "./json_rpc.ts";

const node = await findNode();

Deno.test({
  name: "delimiter() initializes an MCP server, lists its tools and calls one",
  ignore: node.ignore,
  async fn() {
    await using child = await spawn(packageCommand("mcp-server-everything"), {
      transport: "stdio",
      framing: delimiter(),
      serialization: json<Message>(),
      stderr: "null",
    });
    const server = new Caller(child.channel);

    const initialized = await server.call("initialize", {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "socketpair", version: "1.0.0" },
    });
    assert(typeof initialized === "object" && initialized);
    assert("protocolVersion" in initialized);
    assertEquals(initialized.protocolVersion, "2025-06-18");
    await server.notify("notifications/initialized");

    const listed = await server.call("tools/list");
    assert(typeof listed === "object" && listed && "tools" in listed);
    assert(Array.isArray(listed.tools));
    assert(listed.tools.some(({ name }: { name: string }) => name === "echo"));

    assertEquals(
      await server.call("tools/call", {
        name: "echo",
        arguments: { message: "taco\ncat" },
      }),
      { content: [{ type: "text", text: "Echo: taco\ncat" }] },
    );
    assertEquals((await child.close()).success, true);
  },
});
