// Answers each message with its bytes reversed; the frames are those of it-length-prefixed.
import { connect } from "node:net";
import process from "node:process";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { decode, encode } from "it-length-prefixed";

const { SOCKETPAIR_PATH, SOCKETPAIR_TOKEN } = process.env;
delete process.env.SOCKETPAIR_PATH;
delete process.env.SOCKETPAIR_TOKEN;
const parent = connect({ path: SOCKETPAIR_PATH, allowHalfOpen: true });
parent.write(SOCKETPAIR_TOKEN);

async function* answers() {
  yield new TextEncoder().encode("hello from node");
  // A loop over the socket itself would destroy it at the end, with answers still unwritten
  for await (const message of decode(parent.pipe(new PassThrough()))) {
    yield message.slice().reverse();
  }
}
await pipeline(encode(answers()), parent);
