import { once } from "node:events";
import { readSync } from "node:fs";
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  closeDescriptor,
  descriptorOf,
  DescriptorSocket,
  listen,
  openSocket,
} from "../../descriptors.ts";
import { positions, take, withFile, withFiles } from "./files.ts";
import {
  isCloseOnExec,
  isOpen,
  openCount,
  pipe,
  socketPair,
  withNoneFree,
} from "./libc.ts";
import { pythonPeer, testPeer } from "./peers.ts";
import { connected, listenLocally, readToEnd } from "./sockets.ts";
import { test } from "./without_leak.ts";

test("DescriptorSocket.receive() resolves to a new descriptor of the same file", async () => {
  await withFiles(1, async ([file = -1]) => {
    const [left, right] = connected();
    await left.send(file);
    const descriptor = await take(right);
    assertNotEquals(descriptor, file);
    assertEquals(isCloseOnExec(descriptor), true);
    assertEquals(isOpen(file), true);
    readSync(file, new Uint8Array(1));
    assertEquals(positions([descriptor]), [1]);
    assertEquals(isOpen(file), true);
    await left.close();
    await right.close();
  });
});

test("DescriptorSocket.receive() resolves overlapping calls in order", async () => {
  await withFiles(4, async (files) => {
    const [left, right] = connected();
    const received = Promise.all([
      right.receive(),
      right.receive(),
      right.receive(),
      right.receive(),
      right.receive(),
    ]);
    await Promise.all(files.map((file) => left.send(file)));
    await left.close();
    assertEquals(positions(await received), [0, 1, 2, 3, null]);
    await right.close();
  });
});

test("DescriptorSocket.receive() loses nothing when its signal aborts", async () => {
  await withFiles(3, async (files) => {
    const [left, right] = connected();
    const reason = new Error("no longer wanted");
    const controller = new AbortController();
    const { signal } = controller;
    const first = right.receive();
    const second = right.receive({ signal });
    const third = right.receive();
    controller.abort(reason);
    assertEquals(await assertRejects(() => second), reason);
    for (const file of files) await left.send(file);
    assertEquals(positions([await first, await third]), [0, 1]);

    // With a descriptor available
    assertEquals(
      await assertRejects(() => right.receive({ signal })),
      reason,
    );
    assertEquals(positions([await right.receive()]), [2]);

    // With no other call pending
    const again = new AbortController();
    const lone = right.receive({ signal: again.signal });
    again.abort(reason);
    assertEquals(await assertRejects(() => lone), reason);
    const next = right.receive();
    await left.send(files[2] ?? -1);
    assertEquals(positions([await next]), [2]);
    await left.close();
    await right.close();
  });
});

test("DescriptorSocket.receive() resolves to null when the peer closes", async () => {
  const [left, right] = connected();
  const pending = right.receive();
  await left.close();
  assertEquals(await pending, null);
  assertEquals(await right.receive(), null);
  await right.close();
});

test("DescriptorSocket.receive() resolves to null when the socket is closed", async () => {
  const [left, right] = connected();
  const pending = [right.receive(), right.receive()];
  const closed = right.close();
  assertEquals(await Promise.all(pending), [null, null]);
  assertEquals(await right.receive(), null);
  await closed;
  assertEquals(right.close(), closed);
  assertEquals(await right.receive(), null);
  await left.close();
});

test("DescriptorSocket.receive() rejects when the system drops a descriptor", async () => {
  await withFiles(2, async ([first = -1, second = -1]) => {
    const [left, right] = connected();
    await left.send(first);
    await left.send(second);
    await assertRejects(
      () => withNoneFree(() => right.receive()),
      Error,
      "Cannot receive descriptor: the system dropped it, usually because too many files are open",
    );
    assertEquals(positions([await right.receive()]), [1]);
    await left.close();
    await right.close();
  });
});

test("DescriptorSocket.send() rejects a descriptor that is not open", async () => {
  const [left, right] = connected();
  const [reader, writer] = pipe();
  closeDescriptor(reader);
  for (const descriptor of [reader, -1]) {
    await assertRejects(
      () => left.send(descriptor),
      Deno.errors.BadResource,
      `Cannot send descriptor ${descriptor}: `,
    );
  }
  for (const descriptor of [1.5, NaN, 2 ** 32]) {
    await assertRejects(
      () => left.send(descriptor),
      TypeError,
      `Cannot send descriptor ${descriptor}: a descriptor is a 32-bit integer`,
    );
  }
  await left.send(writer);
  closeDescriptor(writer);
  closeDescriptor(await take(right));
  await left.close();
  await right.close();
});

test("DescriptorSocket.send() waits for a peer that does not receive", async () => {
  await withFiles(1000, async (files) => {
    const [left, right] = connected();
    let sentCount = 0;
    const sent = files.map((file) => left.send(file).then(() => sentCount++));
    // A descriptor is sent immediately, or when the peer receives.
    for (let turn = 0; turn < 10; turn++) await null;
    assert(sentCount > 0 && sentCount < files.length, `${sentCount} sent`);

    const received = [];
    for (let count = 0; count < files.length; count++) {
      received.push(await right.receive());
    }
    await Promise.all(sent);
    assertEquals(positions(received), [...files.keys()]);
    await left.close();
    await right.close();
  });
});

test("DescriptorSocket.send() rejects if the peer has closed", async () => {
  const [left, right] = connected();
  await right.close();
  await assertRejects(
    () => left.send(0),
    Deno.errors.BrokenPipe,
    "Cannot send descriptor 0: ",
  );
  await left.close();
});

test("DescriptorSocket.send() rejects if the peer closes while it waits", async () => {
  const [left, right] = connected();
  const sent = Array.from({ length: 1000 }, () => left.send(0));
  await right.close();
  await assertRejects(() => Promise.all(sent), Deno.errors.BrokenPipe);
  await left.close();
});

test("DescriptorSocket.receive() rejects if the peer closed without receiving", async () => {
  const [left, right] = connected();
  await left.send(0);
  await right.close();
  await assertRejects(
    () => left.receive(),
    Deno.errors.ConnectionReset,
    "Cannot receive descriptor: ",
  );
  assertEquals(await left.receive(), null);
  await left.close();
});

test("DescriptorSocket.send() rejects after close()", async () => {
  const [left, right] = connected();
  const closed = left.close();
  await assertRejects(
    () => left.send(0),
    TypeError,
    "Cannot send descriptor 0: the socket is closed",
  );
  await closed;
  await right.close();
});

test("DescriptorSocket.close() waits for pending sends", async () => {
  await withFiles(1000, async (files) => {
    const [left, right] = connected();
    const sent = Promise.all(files.map((file) => left.send(file)));
    const closed = left.close();
    const received = [];
    for (let next; (next = await right.receive()) !== null;) {
      received.push(next);
    }
    await sent;
    await closed;
    assertEquals(positions(received), [...files.keys()]);
    await right.close();
  });
});

test("DescriptorSocket closes at the end of an await using block", async () => {
  const [left, right] = socketPair();
  {
    await using a = new DescriptorSocket(left);
    await using b = new DescriptorSocket(right);
    await a.send(0);
    closeDescriptor(await take(b));
  }
  assertEquals([isOpen(left), isOpen(right)], [false, false]);
});

test("DescriptorSocket throws unless the descriptor is an open Unix socket", async () => {
  const [reader, writer] = pipe();
  assertThrows(
    () => new DescriptorSocket(reader),
    TypeError,
    `Cannot use descriptor ${reader}: it is not a Unix socket`,
  );
  closeDescriptor(reader);
  closeDescriptor(writer);
  assertThrows(
    () => new DescriptorSocket(reader),
    Deno.errors.BadResource,
    `Cannot use descriptor ${reader}: it is not open`,
  );
  assertThrows(() => new DescriptorSocket(NaN), TypeError);
  const { server } = await listenLocally();
  const descriptor = descriptorOf(server);
  assertThrows(() => new DescriptorSocket(descriptor), TypeError);
  server.close();
  await once(server, "close");
});

test("DescriptorSocket uses one thread for all waits", async () => {
  // More waits than Deno has threads for blocking calls
  const pairs = Array.from({ length: 40 }, connected);
  const received = pairs.map(([, right]) => right.receive());
  await withFile("taco cat", async (path) => {
    assertEquals(await Deno.readTextFile(path), "taco cat");
  });
  for (const [left] of pairs.toReversed()) await left.send(0);
  for (const descriptor of await Promise.all(received)) {
    assert(descriptor !== null);
    closeDescriptor(descriptor);
  }
  for (const socket of pairs.flat()) await socket.close();
});

testPeer(
  pythonPeer,
  "DescriptorSocket.receive() resolves to the descriptors of a message in order",
  async ({ child, descriptors }) => {
    const before = openCount();
    await child.channel.send("give a file, a pipe and a listener at once");
    closeDescriptor(await take(descriptors));
    const socket = openSocket(await take(descriptors));
    assertEquals(await readToEnd(socket), "from the peer");
    const server = listen(await take(descriptors));
    await once(server, "listening");
    server.close();
    await once(server, "close");
    assertEquals(openCount(), before);

    // close() also closes descriptors that were not received.
    await child.channel.send("give a file, a pipe and a listener at once");
    closeDescriptor(await take(descriptors));
    assertEquals(openCount(), before + 2);
    await descriptors.close();
    assertEquals(openCount(), before - 1);
  },
);

testPeer(
  pythonPeer,
  "DescriptorSocket.receive() rejects a message without a descriptor",
  async ({ child, descriptors }) => {
    await child.channel.send("give a byte alone");
    await child.channel.send("give a listener");
    await assertRejects(
      () => descriptors.receive(),
      Deno.errors.InvalidData,
      "Cannot receive descriptor: the message has none",
    );
    closeDescriptor(await take(descriptors));
    await child.channel.send("close");
    assertEquals(await descriptors.receive(), null);
  },
);
