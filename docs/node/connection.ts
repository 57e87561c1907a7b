import type { Connection } from "@socketpair/socketpair/channel";
import type { Socket } from "node:net";

/** Adapt a socket that was created with `allowHalfOpen: true`. */
export function connectionOf(socket: Socket): Connection {
  let failure = new Error("The socket was closed");
  let wake = () => {};
  socket.on("error", (error) => failure = error);
  for (const event of ["readable", "end", "close"]) {
    socket.on(event, () => wake());
  }
  return {
    async read(buffer) {
      for (;;) {
        const chunk = socket.read(
          Math.min(buffer.length, socket.readableLength),
        );
        if (chunk !== null) {
          buffer.set(chunk);
          return chunk.length;
        }
        if (socket.readableEnded) return null;
        if (socket.destroyed) throw failure;
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    write: (bytes) =>
      new Promise((resolve, reject) =>
        socket.write(
          bytes,
          (error) => error ? reject(error) : resolve(bytes.length),
        )
      ),
    closeWrite: () =>
      new Promise((resolve, reject) => {
        socket.once("error", reject);
        socket.end(resolve);
      }),
    close: () => void socket.destroy(),
    ref: () => void socket.ref(),
    unref: () => void socket.unref(),
  };
}
