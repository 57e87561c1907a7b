import { once } from "node:events";
import { closeSync, openSync, readSync } from "node:fs";
import net from "node:net";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  closeDescriptor,
  descriptorOf,
  listen,
  openFile,
  openSocket,
} from "../../descriptors.ts";
import { take, withFile } from "./files.ts";
import { assertNoLeak } from "../leaks.ts";
import { isCloseOnExec, isOpen, openCount, pipe } from "./libc.ts";
import { peers, testPeer } from "./peers.ts";
import { ask, hear, listenLocally, readToEnd } from "./sockets.ts";

for (const peer of peers) {
  testPeer(peer, "DescriptorSocket.send() sends a file", async (both) => {
    await withFile("taco cat", async (path) => {
      const file = openSync(path, "r");
      readSync(file, new Uint8Array(5));
      await both.child.channel.send("take a file");
      await both.descriptors.send(file);
      // The receiver continues at the same position.
      assertEquals(await both.child.channel.receive(), "cat");
      closeSync(file);
    });
  });

  testPeer(peer, "DescriptorSocket.send() sends a pipe", async (both) => {
    const [reader, writer] = pipe();
    await both.child.channel.send("take a pipe");
    await both.descriptors.send(writer);
    closeDescriptor(writer);
    const socket = openSocket(reader);
    assertEquals(await readToEnd(socket), "from the peer");
  });

  testPeer(
    peer,
    "DescriptorSocket.send() sends an open connection",
    async (both) => {
      const { server, port } = await listenLocally();
      const accepted = once(server, "connection");
      using client = await Deno.connect({ hostname: "127.0.0.1", port });
      const [socket] = await accepted;
      assertInstanceOf(socket, net.Socket);
      socket.write("from the parent");
      assertEquals(await hear(client), "from the parent");
      await both.child.channel.send("take a connection");
      await both.descriptors.send(descriptorOf(socket));
      socket.destroy();

      assertEquals(await ask(client, "taco"), "TACO\n");
      assertEquals(await ask(client, "cat"), "CAT\n");
      await client.closeWrite();
      assertEquals(await hear(client), "");
      server.close();
      await once(server, "close");
    },
  );

  testPeer(
    peer,
    "DescriptorSocket.send() sends a listener",
    async (both) => {
      const { server, port } = await listenLocally();
      await both.child.channel.send("take a listener");
      await both.descriptors.send(descriptorOf(server));
      server.close();
      await once(server, "close");

      using client = await Deno.connect({ hostname: "127.0.0.1", port });
      assertEquals(await ask(client, "taco cat"), "TACO CAT\n");
    },
  );

  testPeer(peer, "DescriptorSocket.receive() receives a file", async (both) => {
    await withFile("taco cat", async (path) => {
      await both.child.channel.send(`give the file ${path}`);
      const descriptor = await take(both.descriptors);
      assertEquals(isCloseOnExec(descriptor), true);
      const file = await openFile(descriptor);
      assertEquals(isOpen(descriptor), false);
      assertEquals(await new Response(file.readable).text(), "cat");
    });
  });

  testPeer(peer, "DescriptorSocket.receive() receives a pipe", async (both) => {
    await both.child.channel.send("give a pipe");
    const descriptor = await take(both.descriptors);
    const socket = openSocket(descriptor);
    assertEquals(await readToEnd(socket), "from the peer");
    assertEquals(isOpen(descriptor), false);
  });

  testPeer(
    peer,
    "DescriptorSocket.receive() receives an open connection",
    async (both) => {
      await both.child.channel.send("give a connection");
      const port = Number(await both.child.channel.receive());
      using client = await Deno.connect({ hostname: "127.0.0.1", port });
      assertEquals(await ask(client, "taco"), "TACO\n");
      const descriptor = await take(both.descriptors);
      const socket = openSocket(descriptor);
      socket.write("from the parent");
      assertEquals(await hear(client), "from the parent");
      await client.write(new TextEncoder().encode("cat"));
      const [data] = await once(socket, "data");
      assertEquals(String(data), "cat");
      socket.end();
      client.close();
      await once(socket, "close");
      assertEquals(isOpen(descriptor), false);
    },
  );

  testPeer(
    peer,
    "DescriptorSocket.receive() receives a listener",
    async (both) => {
      await both.child.channel.send("give a listener");
      const descriptor = await take(both.descriptors);
      const server = listen(descriptor);
      await once(server, "listening");
      const address = server.address();
      assert(address !== null && typeof address === "object");

      const accepted = once(server, "connection");
      const { port } = address;
      using client = await Deno.connect({ hostname: "127.0.0.1", port });
      const [socket] = await accepted;
      assertInstanceOf(socket, net.Socket);
      socket.end("from the parent");
      assertEquals(await hear(client), "from the parent");
      socket.destroy();
      server.close();
      await once(server, "close");
      assertEquals(isOpen(descriptor), false);
    },
  );

  testPeer(
    peer,
    "DescriptorSocket leaves nothing open after 1000 descriptors each way",
    async ({ child, descriptors }) => {
      // Files that Deno loads on first use stay open.
      await child.channel.send("echo 1");
      await child.channel.send("count");
      await descriptors.send(0);
      closeDescriptor(await take(descriptors));
      const theirs = await child.channel.receive();
      const ours = openCount();

      await child.channel.send("echo 1000");
      await child.channel.send("count");
      await Promise.all([
        (async () => {
          for (let count = 0; count < 1000; count++) await descriptors.send(0);
        })(),
        (async () => {
          for (let count = 0; count < 1000; count++) {
            closeDescriptor(await take(descriptors));
          }
        })(),
      ]);
      assertEquals(await child.channel.receive(), theirs);
      await assertNoLeak(ours, openCount);
    },
  );
}
