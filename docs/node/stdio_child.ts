import { Channel, json } from "@socketpair/socketpair/channel";
import process from "node:process";
import { Readable, Writable } from "node:stream";

const parent = new Channel({
  readable: Readable.toWeb(process.stdin),
  writable: Writable.toWeb(process.stdout),
}, { serialization: json<string[], number>() });
for await (const words of parent) await parent.send(words.join("").length);
await parent.close();
