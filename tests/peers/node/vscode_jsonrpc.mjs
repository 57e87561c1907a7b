// A vscode-jsonrpc peer over standard input and output, whose methods call the parent back.
import process from "node:process";
import {
  createMessageConnection,
  ResponseError,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-jsonrpc/node";

const connection = createMessageConnection(
  new StreamMessageReader(process.stdin),
  new StreamMessageWriter(process.stdout),
);
connection.onRequest("add", (a, b) => a + b);
connection.onRequest("named", ({ dish }) => `a ${dish}`);
connection.onRequest("twice", (n) => connection.sendRequest("double", n));
connection.onRequest("refuse", () => {
  throw new ResponseError(404, "no taco", { left: 0 });
});
connection.onRequest("fail", () => {
  throw new RangeError("out of range");
});
connection.onRequest("wait", (token) =>
  new Promise((resolve) => {
    token.onCancellationRequested(() => {
      connection.sendNotification("wasCancelled");
      resolve("cancelled");
    });
    connection.sendNotification("waits");
  }));
connection.onRequest("codeOf", async (method, params) => {
  try {
    return await connection.sendRequest(method, params);
  } catch (error) {
    return { code: error.code, message: error.message, data: error.data };
  }
});
connection.onClose(() => process.exit());
connection.listen();
