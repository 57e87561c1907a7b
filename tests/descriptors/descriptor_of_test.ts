import { once } from "node:events";
import net from "node:net";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import {
  closeDescriptor,
  descriptorOf,
  listen,
  openSocket,
} from "../../descriptors.ts";
import { take } from "./files.ts";
import { connected, listenLocally } from "./sockets.ts";
import { test } from "./without_leak.ts";

for (const hostname of ["127.0.0.1", "::1", "::"]) {
  test(`descriptorOf() finds listeners and connections of ${hostname}`, async () => {
    using listener = Deno.listen({ hostname, port: 0 });
    for (let round = 0; round < 2; round++) {
      const server = net.createServer({ pauseOnConnect: true });
      server.listen(0, hostname);
      await once(server, "listening");
      const address = server.address();
      assert(address !== null && typeof address === "object");
      const { port } = address;
      // Over IPv4 if the listener accepts both
      const target = hostname === "::" ? "127.0.0.1" : hostname;
      const accepted = once(server, "connection");
      const client = net.connect(port, target);
      const [socket] = await accepted;
      assertInstanceOf(socket, net.Socket);
      if (client.connecting) await once(client, "connect");

      const found = [server, listener, socket, client].map(descriptorOf);
      assertEquals(new Set(found).size, 4);
      const [left, right] = connected();
      for (const descriptor of found) await left.send(descriptor);
      const again = listen(await take(right));
      closeDescriptor(await take(right));
      const other = openSocket(await take(right));
      closeDescriptor(await take(right));
      await once(again, "listening");
      assertEquals(again.address(), server.address());
      assertEquals(other.remotePort, client.localPort);
      other.write("taco cat");
      assertEquals(String(await once(client, "data")), "taco cat");
      for (const stream of [other, socket, client]) stream.destroy();
      for (const each of [again, server]) {
        each.close();
        await once(each, "close");
      }
      await left.close();
      await right.close();
    }
  });
}

Deno.test({
  name: "descriptorOf() distinguishes addresses with the same port",
  ignore: Deno.build.os !== "linux", // others have 127.0.0.1 only
  fn() {
    using first = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = first.addr;
    using second = Deno.listen({ hostname: "127.0.0.2", port });
    assertNotEquals(descriptorOf(first), descriptorOf(second));
  },
});

test("descriptorOf() throws if the socket is closed or not TCP", async () => {
  const { server, port } = await listenLocally();
  const accepted = once(server, "connection");
  const client = await Deno.connect({ hostname: "127.0.0.1", port });
  const [socket] = await accepted;
  assertInstanceOf(socket, net.Socket);
  const address = {
    localAddress: socket.localAddress,
    localPort: socket.localPort,
    remoteAddress: socket.remoteAddress,
    remotePort: socket.remotePort,
  };
  client.close();
  socket.destroy();
  await once(socket, "close");
  assertThrows(() => descriptorOf(socket), TypeError);
  for (const [name, value] of Object.entries(address)) {
    Object.defineProperty(socket, name, { value });
  }
  assertThrows(() => descriptorOf(socket), Deno.errors.BadResource);
  server.close();
  await once(server, "close");
  assertThrows(
    () => descriptorOf(server),
    TypeError,
    "Cannot find descriptor of socket: it is not an open TCP socket",
  );
});

test("descriptorOf() throws if the peer has reset the connection", async () => {
  const { server, port } = await listenLocally();
  const accepted = once(server, "connection");
  const client = await Deno.connect({ hostname: "127.0.0.1", port });
  const [socket] = await accepted;
  assertInstanceOf(socket, net.Socket);
  const descriptor = descriptorOf(socket);
  await new Promise((resolve) => socket.write("taco cat", resolve));
  // Closing with unread data resets the connection.
  client.close();
  assertThrows(
    () => descriptorOf(socket),
    Deno.errors.BadResource,
    "Cannot find descriptor of socket: it is closed, or its peer has reset it",
  );
  assertThrows(() => listen(descriptor), TypeError);
  socket.destroy();
  server.close();
  await once(server, "close");
});
