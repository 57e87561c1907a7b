import { assert, assertEquals } from "@std/assert";
import { json } from "../../channel.ts";
import { lengthField } from "../../framing.ts";
import { spawn } from "../../pair.ts";
import { findPython, missing } from "../programs.ts";

const python = await findPython();

Deno.test({
  name: "lengthField() talks to a native messaging host like a browser",
  ignore: python.ignore,
  async fn() {
    assert(python.command, missing);
    await using child = await spawn(python.command, {
      args: ["native_messaging.py"],
      cwd: new URL(".", import.meta.url),
      transport: "stdio",
      framing: lengthField(),
      serialization: json<unknown>(),
    });
    const { channel } = child;
    for (
      const message of [{ text: "taco \u{1F32E}" }, "", "x".repeat(500_000)]
    ) {
      await channel.send(message);
      assertEquals(await channel.receive(), { echo: message });
    }
    assertEquals((await child.close()).success, true);
  },
});
