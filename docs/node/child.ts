import { Channel, json } from "@socketpair/socketpair/channel";
import { connect } from "node:net";
import process from "node:process";
import { connectionOf } from "./connection.ts";

const { SOCKETPAIR_PATH: path = "", SOCKETPAIR_TOKEN: token = "" } =
  process.env;
delete process.env.SOCKETPAIR_PATH;
delete process.env.SOCKETPAIR_TOKEN;
const socket = connect({ path, allowHalfOpen: true });
socket.write(token);

const parent = new Channel(connectionOf(socket), {
  serialization: json<string[], number>(),
});
for await (const words of parent) await parent.send(words.join("").length);
await parent.close();
