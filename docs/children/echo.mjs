import { connect } from "node:net";
import process from "node:process";

const { SOCKETPAIR_PATH: path, SOCKETPAIR_TOKEN: token } = process.env;
delete process.env.SOCKETPAIR_PATH;
delete process.env.SOCKETPAIR_TOKEN;
const parent = connect({ path, allowHalfOpen: true });
parent.write(token);

function send(message) {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(message.length); // BE where os.endianness() says so
  parent.write(Buffer.concat([header, message]));
}

send(Buffer.from("hello from node"));
let length;
parent.on("readable", () => {
  while ((length ??= parent.read(4)?.readUInt32LE()) !== undefined) {
    const message = length === 0 ? Buffer.alloc(0) : parent.read(length);
    if (message === null) return; // wait for the rest
    if (message.length < length) throw new Error("The parent has gone");
    length = undefined;
    send(message.reverse());
  }
});
parent.on("end", () => parent.end());
