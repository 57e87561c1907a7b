/** Closes both ends while each has more to send than the socket holds. */
import { assertInstanceOf } from "@std/assert";
import { DescriptorSocket } from "../../../descriptors.ts";
import { socketPair } from "../libc.ts";

const sockets = socketPair().map((end) => new DescriptorSocket(end));
const sent = sockets.flatMap((socket) =>
  Array.from({ length: 1000 }, () => socket.send(0))
);
await Promise.all(sockets.map((socket) => socket.close()));
const results = await Promise.allSettled(sent);
for (const result of results) {
  if (result.status === "fulfilled") continue;
  assertInstanceOf(result.reason, Deno.errors.BrokenPipe);
}
