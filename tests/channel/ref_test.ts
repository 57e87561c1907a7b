import { assertEquals } from "@std/assert";
import { Channel } from "../../channel.ts";
import { spawn } from "../../pair.ts";
import { FakeConn } from "./fake_conn.ts";
import { A } from "./messages.ts";
import { transformStreams } from "./stream_pairs.ts";

Deno.test("Channel.ref() and unref() are those of the connection", () => {
  const conn = new FakeConn();
  const channel = new Channel(conn);
  channel.unref();
  assertEquals(conn.refs, -1);
  channel.ref();
  assertEquals(conn.refs, 0);
  channel.abort();

  const plain = new Channel(transformStreams()[0]);
  plain.unref();
  plain.ref();
  plain.abort();
});

const CHILD = `
  import { connectToParent } from "${import.meta.resolve("../../pair.ts")}";
  const parent = await connectToParent();
`;

function spawnDeno(code: string) {
  return spawn(Deno.execPath(), {
    args: ["eval", "--ext=ts", CHILD + code],
    cwd: new URL("../..", import.meta.url),
  });
}

Deno.test("Channel.unref() lets the process exit while it waits for a message", async () => {
  const child = await spawnDeno(`
    parent.receive().then(() => Deno.exit(1));
    parent.unref();
  `);
  assertEquals((await child.status).code, 0);
  await child.close();
});

Deno.test("Channel.ref() keeps the process alive while it waits for a message", async () => {
  const child = await spawnDeno(`
    parent.unref();
    parent.ref();
    parent.receive().then((message) => parent.send(message));
  `);
  child.channel.send(A);
  assertEquals(await child.channel.receive(), A);
  await child.close();
});
