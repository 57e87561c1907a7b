// A client of the MCP SDK: starts the server that is named, and prints what it says as JSON.
import process from "node:process";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "sdk", version: "1.0.0" });
client.onerror = (error) => console.error(String(error));
await client.connect(
  new StdioClientTransport({ command, args, env: process.env }),
);
const said = { server: client.getServerVersion(), ping: await client.ping() };
said.tools = (await client.listTools()).tools.map(({ name }) => name);
said.result = await client.callTool({
  name: "echo",
  arguments: { message: "taco cat" },
});
said.error = await client.callTool({ name: "nothing" })
  .catch(({ code, message }) => ({ code, message }));
console.log(JSON.stringify(said));
await client.close();
