import { assert, assertEquals } from "@std/assert";
import { json } from "../../channel.ts";
import {
  contentLength,
  type Framing,
  lengthField,
  netstring,
  varint,
} from "../../framing.ts";
import { spawn } from "../../pair.ts";
import {
  findNode,
  findPython,
  findRuby,
  findTwisted,
  missing,
  type Program,
} from "../programs.ts";
import { assertReverses } from "../peers/reversing.ts";

const cwd = new URL("../peers/", import.meta.url);
const [ruby, python, twisted, node] = await Promise.all([
  findRuby(),
  findPython(),
  findTwisted(),
  findNode(),
]);

interface Peer {
  name: string;
  program: Program;
  args: string[];
  framing: Framing;
  greeting: string;
}
const peers: Peer[] = [
  {
    name: 'lengthField() speaks with [n].pack("I") of Ruby',
    program: ruby,
    args: ["echo.rb"],
    framing: lengthField(),
    greeting: "hello from ruby",
  },
  {
    name: 'lengthField() big-endian speaks with [n].pack("N") of Ruby',
    program: ruby,
    args: ["echo.rb", "N"],
    framing: lengthField({ endianness: "big" }),
    greeting: "hello from ruby",
  },
  {
    name: 'lengthField() speaks with struct.pack("=I", n) of Python',
    program: python,
    args: ["echo.py"],
    framing: lengthField(),
    greeting: "hello from python",
  },
  {
    name: "lengthField() big-endian speaks with multiprocessing.connection",
    program: python,
    args: ["echo_connection.py"],
    framing: lengthField({ endianness: "big" }),
    greeting: "hello from multiprocessing",
  },
  {
    name: "lengthField() big-endian speaks with Twisted's Int32StringReceiver",
    program: twisted,
    args: ["echo_twisted.py", "Int32StringReceiver"],
    framing: lengthField({ endianness: "big" }),
    greeting: "hello from twisted",
  },
  {
    name: "netstring() speaks with Twisted's NetstringReceiver",
    program: twisted,
    args: ["echo_twisted.py", "NetstringReceiver"],
    framing: netstring(),
    greeting: "hello from twisted",
  },
  {
    name: "varint() speaks with it-length-prefixed",
    program: node,
    args: ["node/echo.mjs"],
    framing: varint(),
    greeting: "hello from node",
  },
];

for (const { name, program, args, framing, greeting } of peers) {
  Deno.test({
    name,
    ignore: program.ignore,
    async fn() {
      assert(program.command, missing);
      const options = { args, cwd, framing };
      await assertReverses(program.command, options, greeting);
    },
  });
}

interface Call {
  jsonrpc: "2.0";
  id?: number; // none in a notification
  method: string;
  params: string[];
}
interface Reply {
  jsonrpc: "2.0";
  id: number;
  result: string;
}

Deno.test({
  name: "contentLength() calls and is called by vscode-jsonrpc",
  ignore: node.ignore,
  async fn() {
    assert(node.command, missing);
    const texts = [
      "",
      "x",
      "taco cat",
      String.fromCharCode(...Array(256).keys()), // two bytes each from 128
      "\u{1F32E} \u65E5\u672C".repeat(10_000),
      "0123456789ab".repeat(256 * 1024),
    ];
    const reverse = (text: string) => [...text].reverse().join("");
    await using child = await spawn(node.command, {
      args: ["node/jsonrpc.mjs"],
      cwd,
      framing: contentLength(),
      serialization: json<Call | Reply>(),
    });
    const { channel } = child;

    const call = await channel.receive();
    assert(call?.id !== undefined && "params" in call);
    const { id, method, params } = call;
    assertEquals({ method, params }, {
      method: "reverse",
      params: ["hello from node"],
    });
    const result = reverse("hello from node");
    await channel.send({ jsonrpc: "2.0", id, result });
    assertEquals(await channel.receive(), {
      jsonrpc: "2.0",
      method: "reversed",
      params: [result],
    });

    const sent = Promise.all(
      texts.map((text, id) =>
        channel.send({ jsonrpc: "2.0", id, method: "reverse", params: [text] })
      ),
    );
    for (const [id, text] of texts.entries()) {
      assertEquals(await channel.receive(), {
        jsonrpc: "2.0",
        id,
        result: reverse(text),
      });
    }
    await sent;
    assertEquals((await child.close()).success, true);
  },
});
