import { assert, assertEquals } from "@std/assert";
import { equals } from "@std/bytes";
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
  type Program,
} from "../programs.ts";

const cwd = new URL("../peers/", import.meta.url);
const [ruby, python, twisted, node] = await Promise.all([
  findRuby(),
  findPython(),
  findTwisted(),
  findNode(),
]);

const missing =
  "Cannot run the peer: its program, or a package that it uses, is not installed";

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

function random(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const most = 65_536; // what getRandomValues() fills at a time
  for (let start = 0; start < length; start += most) {
    crypto.getRandomValues(bytes.subarray(start, start + most));
  }
  return bytes;
}

for (const { name, program, args, framing, greeting } of peers) {
  Deno.test({
    name,
    ignore: program.ignore,
    async fn() {
      assert(program.command, missing);
      const messages = [
        new Uint8Array(),
        random(1),
        new TextEncoder().encode("taco cat"),
        Uint8Array.from({ length: 256 }, (_, byte) => byte),
        random(70_000),
        random(3 * 1024 * 1024),
        new Uint8Array(),
      ];
      await using child = await spawn(program.command, { args, cwd, framing });
      const { channel } = child;
      const first = await channel.receive();
      assert(first);
      assertEquals(new TextDecoder().decode(first), greeting);

      // At once, since the peer reads no further while nobody takes its answers
      const [answers] = await Promise.all([
        Array.fromAsync(channel),
        (async () => {
          for (const message of messages) await channel.send(message);
          await channel.closeWrite();
        })(),
      ]);

      assertEquals(
        answers.map((answer) => answer.length),
        messages.map((message) => message.length),
      );
      for (const [index, message] of messages.entries()) {
        const answer = answers[index];
        assert(answer && equals(answer, message.toReversed()));
      }
      assertEquals((await child.close()).success, true);
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
    await using child = await spawn<Call | Reply>(node.command, {
      args: ["node/jsonrpc.mjs"],
      cwd,
      framing: contentLength(),
      serialization: json(),
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
