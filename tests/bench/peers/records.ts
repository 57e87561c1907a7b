// Ours with json(): records, one by one. They are in the file that BENCH_RECORDS names.
//
// usage: deno run -A records.ts records SIZE COUNT WARM

import { type Channel, connectToParent, json, spawn } from "../../../mod.ts";

interface Order {
  readonly id: number;
}

const isChild = Deno.args[0] === "child";
const [count = 0, warm = 0] = Deno.args.slice(isChild ? 3 : 2).map(Number);

async function sendMany(
  channel: Channel<number, Order>,
  records: readonly Order[],
  n: number,
): Promise<number> {
  for (let i = 0; i < n; i++) {
    const record = records[i % records.length];
    if (record === undefined) throw new Error("There are no records");
    await channel.send(record);
  }
  return await channel.receive() ?? -1;
}

async function receiveMany(
  channel: Channel<Order, number>,
  n: number,
): Promise<void> {
  let id = -1;
  for (let i = 0; i < n; i++) {
    const record = await channel.receive();
    if (record === null || record.id !== id + 1 && record.id !== 0) {
      throw new Error(`Cannot receive: ${record?.id} came after ${id}`);
    }
    id = record.id;
  }
  await channel.send(n);
}

if (isChild) {
  const serialization = json<Order, number>();
  await using channel = await connectToParent({ serialization });
  await receiveMany(channel, warm);
  await receiveMany(channel, count);
  await channel.receive();
} else {
  const records: Order[] = JSON.parse(
    await Deno.readTextFile(Deno.env.get("BENCH_RECORDS") ?? ""),
  );
  await using child = await spawn(Deno.execPath(), {
    args: ["run", "-A", import.meta.filename ?? "", "child", ...Deno.args],
    serialization: json<number, Order>(),
  });
  await sendMany(child.channel, records, warm);
  const began = performance.now();
  const messages = await sendMany(child.channel, records, count);
  const seconds = (performance.now() - began) / 1000;
  console.log(JSON.stringify({ messages, seconds }));
}
