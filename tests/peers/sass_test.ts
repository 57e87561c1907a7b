import { assert, assertEquals } from "@std/assert";
import { concat } from "@std/bytes";
import { bytes } from "../../channel.ts";
import { varint } from "../../framing.ts";
import { spawn } from "../../pair.ts";
import { findNode, packageCommand } from "../programs.ts";
import { manifestOf } from "../programs.ts";

const node = await findNode();

/** A field of a protobuf message: a number, or bytes after their length. All are below 128. */
function field(number: number, value: number | Uint8Array): Uint8Array {
  return typeof value === "number"
    ? Uint8Array.of(number << 3, value)
    : concat([Uint8Array.of(number << 3 | 2, value.length), value]);
}

/** The fields of a protobuf message that have a length, by their numbers. */
function fieldsOf(message: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  for (let at = 0; at < message.length;) {
    const [tag = 0, value = 0] = message.subarray(at, at += 2);
    if ((tag & 7) === 2) {
      fields.set(tag >> 3, message.subarray(at, at += value));
    }
  }
  return fields;
}

const toText = (bytes: Uint8Array | undefined) =>
  new TextDecoder().decode(bytes);

// https://github.com/sass/sass/blob/main/spec/embedded-protocol.md: a packet is the ID of a compilation and a message
Deno.test({
  name: "varint() asks Sass for its version and for a compilation",
  ignore: node.ignore,
  async fn() {
    await using child = await spawn(packageCommand("sass"), {
      args: ["--embedded"],
      transport: "stdio",
      framing: varint({ allowOverlong: true }),
      serialization: bytes(),
    });
    const { channel } = child;

    const versionRequest = field(7, field(1, 42));
    await channel.send(concat([Uint8Array.of(0), versionRequest]));
    const [zero, ...versionAnswer] = await channel.receive() ?? [];
    assertEquals(zero, 0);
    const version = fieldsOf(Uint8Array.from(versionAnswer)).get(8);
    assert(version);
    assertEquals(toText(fieldsOf(version).get(4)), "dart-sass");
    assertEquals(
      toText(fieldsOf(version).get(3)),
      (await manifestOf("sass-embedded")).version,
    );

    const source = new TextEncoder().encode("a { b { c: 1px + 2px } }");
    const compileRequest = field(2, field(2, field(1, source)));
    await channel.send(concat([Uint8Array.of(1), compileRequest]));
    const [one, ...compileAnswer] = await channel.receive() ?? [];
    assertEquals(one, 1);
    const response = fieldsOf(Uint8Array.from(compileAnswer)).get(2);
    assert(response);
    const success = fieldsOf(response).get(2);
    assert(success);
    assertEquals(toText(fieldsOf(success).get(1)), "a b {\n  c: 3px;\n}");

    assertEquals((await child.close()).success, true);
  },
});
