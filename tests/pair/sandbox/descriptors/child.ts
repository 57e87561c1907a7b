/** Reads, writes and listens by descriptors that its parent was started with. */
import { createServer, Socket } from "node:net";
import { json } from "../../../../channel.ts";
import { connectToParent } from "../../../../pair.ts";

type Settle = (value: string) => void;

function attempt(
  action: (resolve: Settle, reject: (error: unknown) => void) => void,
): Promise<string> {
  return new Promise<string>(action).catch((error) => `refused: ${error}`);
}

const outcomes = {
  read: await attempt((resolve, reject) =>
    new Socket({ fd: 3 }).on("error", reject).on(
      "data",
      (data) => resolve(`read ${data}`),
    )
  ),
  write: await attempt((resolve, reject) =>
    new Socket({ fd: 13, readable: false, writable: true }).on("error", reject)
      .write("written", () => resolve("wrote"))
  ),
  listen: await attempt((resolve, reject) =>
    createServer().on("error", reject).listen(
      { fd: 14 },
      () => resolve("listened"),
    )
  ),
};

await using parent = await connectToParent({ serialization: json() });
await parent.send(outcomes);
await parent.flush();
Deno.exit();
