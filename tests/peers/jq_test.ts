import { assert, assertEquals, assertRejects } from "@std/assert";
import { json } from "../../channel.ts";
import { delimiter } from "../../framing.ts";
import { ExitError, spawn } from "../../pair.ts";
import { findJq, missing } from "../programs.ts";

const jq = await findJq();

Deno.test({
  name: "delimiter() makes 1,000 round trips with jq",
  ignore: jq.ignore,
  async fn() {
    assert(jq.command, missing);
    await using child = await spawn(jq.command, {
      args: ["-c", "--unbuffered", "{ id, twice: (.n * 2) }"],
      transport: "stdio",
      framing: delimiter(),
      serialization: json<unknown>(),
    });
    const { channel } = child;
    for (let id = 0; id < 1000; id++) {
      await channel.send({ id, n: id + 1 });
      assertEquals(await channel.receive(), { id, twice: 2 * (id + 1) });
    }
    // After the end
    await channel.send({ id: "last", n: 1 });
    await channel.closeWrite();
    assertEquals(await Array.fromAsync(channel), [{ id: "last", twice: 2 }]);
    assertEquals((await child.close()).success, true);
  },
});

Deno.test({
  name: "delimiter() receives the results of jq, then its failure",
  ignore: jq.ignore,
  async fn() {
    assert(jq.command, missing);
    await using child = await spawn(jq.command, {
      args: ["-c", "--unbuffered", ".taco"],
      transport: "stdio",
      framing: delimiter(),
      serialization: json<unknown>(),
      stderr: "null",
    });
    const { channel } = child;
    await channel.send({ taco: "cat" });
    await channel.send("taco");
    await channel.closeWrite();
    assertEquals(await channel.receive(), "cat");
    const error = await assertRejects(() => channel.receive(), ExitError);
    assertEquals(error.status.code, 5);
  },
});
