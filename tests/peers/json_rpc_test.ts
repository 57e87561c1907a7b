import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { json } from "../../channel.ts";
import { contentLength } from "../../framing.ts";
import { JsonRpc, JsonRpcError } from "../../jsonrpc.ts";
import { spawn } from "../../pair.ts";
import { findNode, findPylsp, missing, type Program } from "../programs.ts";

/** The methods of the peers. */
interface Peer {
  add(a: number, b: number): number;
  refuse(): never;
  fail(): never;
  wait(): string;
}

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

async function start({ command }: Program, program: string) {
  assert(command, missing);
  const waits = Promise.withResolvers<void>();
  const wasCancelled = Promise.withResolvers<void>();
  const child = await spawn(command, {
    args: [here(program)],
    transport: "stdio",
    framing: contentLength(),
    serialization: json(),
    stderr: "null", // pylsp_jsonrpc logs the errors of methods
  });
  const methods = {
    double: (n: number) => 2 * n,
    refuse() {
      throw new JsonRpcError(405, "not here");
    },
    waits: waits.resolve,
    wasCancelled: wasCancelled.resolve,
  };
  const rpc = new JsonRpc<Peer>(child.channel, { methods });
  return { child, rpc, waits, wasCancelled };
}

async function assertCalls({ remote }: JsonRpc<Peer>) {
  assertEquals(await remote.add(1, 2), 3);
  const error = await assertRejects(() => remote.refuse(), JsonRpcError);
  assertEquals(error.code, 404);
  assertEquals(error.message, "no taco");
  assertEquals(error.data, { left: 0 });
  await assertRejects(() => remote.fail(), JsonRpcError);
}

const node = await findNode();
const pylsp = await findPylsp();

Deno.test({
  name:
    "JsonRpc and vscode-jsonrpc call each other, with errors and cancellation",
  ignore: node.ignore,
  async fn() {
    const peer = await start(node, "node/vscode_jsonrpc.mjs");
    const { child, rpc, waits, wasCancelled } = peer;
    await using _child = child;
    await assertCalls(rpc);
    assertEquals(await rpc.request("named", { dish: "taco" }), "a taco");
    assertEquals(
      await Promise.all([1, 2, 3].map((n) => rpc.request("twice", [n]))),
      [2, 4, 6],
    );
    assertEquals(await rpc.request("codeOf", ["refuse", []]), {
      code: 405,
      message: "not here",
    });
    assertEquals(await rpc.request("codeOf", ["toString", []]), {
      code: -32601,
      message: "There is no method toString",
    });
    const nothing = rpc.request("nothing");
    assertEquals(
      (await assertRejects(() => nothing, JsonRpcError)).code,
      -32601,
    );

    const controller = new AbortController();
    const waiting = rpc.request("wait", [], controller);
    await waits.promise;
    controller.abort();
    await assertRejects(() => waiting, DOMException);
    await wasCancelled.promise;
    await assertCalls(rpc);
    assertEquals((await child.close()).success, true);
  },
});

Deno.test({
  name: "JsonRpc and pylsp_jsonrpc call each other, with errors",
  ignore: pylsp.ignore,
  async fn() {
    const { child, rpc } = await start(pylsp, "calls.py");
    await using _child = child;
    await assertCalls(rpc);
    assertEquals(await rpc.request("named", { dish: "taco" }), "a taco");
    assertEquals(
      await Promise.all([1, 2, 3].map((n) => rpc.request("twice", { n }))),
      [2, 4, 6],
    );
    assertEquals(await rpc.request("codeOf", { method: "refuse" }), {
      code: 405,
      message: "not here",
    });
    const nothing = rpc.request("nothing");
    assertEquals(
      (await assertRejects(() => nothing, JsonRpcError)).code,
      -32601,
    );
    assertEquals((await child.close()).success, true);
  },
});
