// A vscode-jsonrpc server of the method "reverse", which calls the parent's "reverse" first.
import { connect } from "node:net";
import process from "node:process";
import {
  createMessageConnection,
  SocketMessageReader,
  SocketMessageWriter,
} from "vscode-jsonrpc/node";

const { SOCKETPAIR_PATH, SOCKETPAIR_TOKEN } = process.env;
delete process.env.SOCKETPAIR_PATH;
delete process.env.SOCKETPAIR_TOKEN;
const parent = connect(SOCKETPAIR_PATH);
parent.write(SOCKETPAIR_TOKEN);

const connection = createMessageConnection(
  new SocketMessageReader(parent),
  new SocketMessageWriter(parent),
);
connection.onRequest("reverse", (text) => [...text].reverse().join(""));
connection.onError(([error]) => {
  // It would otherwise wait on, for a message that it can no longer read
  console.error(error);
  process.exit(1);
});
connection.listen();
const answer = await connection.sendRequest("reverse", "hello from node");
await connection.sendNotification("reversed", answer);
