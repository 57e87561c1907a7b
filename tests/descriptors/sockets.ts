import { once } from "node:events";
import net from "node:net";
import { assert } from "@std/assert";
import { DescriptorSocket } from "../../descriptors.ts";
import { socketPair } from "./libc.ts";

/** Read a socket to its end, and wait until its descriptor is closed. */
export async function readToEnd(socket: net.Socket): Promise<string> {
  const closed = once(socket, "close");
  const chunks = await socket.setEncoding("utf8").toArray();
  await closed;
  return chunks.join("");
}

export async function listenLocally(): Promise<
  { server: net.Server; port: number }
> {
  const server = net.createServer({ pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert(address !== null && typeof address === "object");
  return { server, port: address.port };
}

export async function ask(client: Deno.Conn, line: string): Promise<string> {
  await client.write(new TextEncoder().encode(`${line}\n`));
  return await hear(client);
}

export async function hear(client: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(100);
  const length = await client.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
}

/** Create two connected sockets in this process. */
export function connected(): [DescriptorSocket, DescriptorSocket] {
  const [left, right] = socketPair();
  return [new DescriptorSocket(left), new DescriptorSocket(right)];
}
