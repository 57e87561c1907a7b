import { assertEquals } from "@std/assert";
import { lengthField } from "../../framing.ts";
import type { Serialization } from "../../channel.ts";
import { spawn } from "../../pair.ts";
import { findNode, manifestOf, packageCommand } from "../programs.ts";
import { type Packet, packets } from "./esbuild.ts";

const node = await findNode();

/** The first frame is the version; the others are packets. */
function versionThenPackets(): Serialization<string | Packet> {
  const { serialize, deserialize } = packets();
  let isFirst = true;
  return {
    serialize(packet) {
      if (typeof packet === "string") throw new TypeError("no packet");
      return serialize(packet);
    },
    deserialize(bytes) {
      if (!isFirst) return deserialize(bytes);
      isFirst = false;
      return new TextDecoder().decode(bytes);
    },
  };
}

Deno.test({
  name: "lengthField() talks to the esbuild service with little-endian lengths",
  ignore: node.ignore,
  async fn() {
    const { version } = await manifestOf("esbuild");
    await using child = await spawn(packageCommand("esbuild"), {
      args: [`--service=${version}`],
      transport: "stdio",
      framing: lengthField({ endianness: "little" }),
      serialization: versionThenPackets(),
    });
    const { channel } = child;
    assertEquals(await channel.receive(), version);

    const input = new TextEncoder().encode("const taco: string = 'cat'");
    await channel.send({
      id: 7,
      isRequest: true,
      value: {
        command: "transform",
        flags: ["--loader=ts", "--minify"],
        inputFS: false,
        input,
      },
    });
    assertEquals(await channel.receive(), {
      id: 7,
      isRequest: false,
      value: {
        errors: [],
        warnings: [],
        codeFS: false,
        code: 'const taco="cat";\n',
        mapFS: false,
        map: "",
      },
    });
    assertEquals((await child.close()).success, true);
  },
});
