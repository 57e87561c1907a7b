import { once } from "node:events";
import { closeSync, openSync, readSync } from "node:fs";
import net from "node:net";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { text } from "../channel.ts";
import {
  type ChildWithDescriptors,
  closeDescriptor,
  connectDescriptorsToParent,
  descriptorOf,
  DescriptorSocket,
  listen,
  openFile,
  openSocket,
  spawnWithDescriptors,
  type SpawnWithDescriptorsOptions,
} from "../descriptors.ts";
import { ConnectError } from "../pair.ts";
import {
  isCloseOnExec,
  isOpen,
  openCount,
  pipe,
  position,
  socketPair,
  withNoneFree,
} from "./peers/descriptors/libc.ts";
import { findPython, findRuby, type Program } from "./peers/programs.ts";

const ignore = Deno.build.os === "windows";
const cwd = new URL("./peers/descriptors/", import.meta.url);
const [ruby, python] = await Promise.all([findRuby(), findPython()]);
const deno: Program = { command: Deno.execPath(), ignore: false };

const missing = "Cannot run the peer: its program is not installed";

interface Peer {
  name: string;
  program: Program;
  args: string[];
}
const rubyPeer = { name: "Ruby", program: ruby, args: ["peer.rb"] };
const pythonPeer = { name: "Python", program: python, args: ["peer.py"] };
const denoPeer = {
  name: "Deno",
  program: deno,
  args: ["run", "-A", "peer.ts"],
};
const peers: Peer[] = [rubyPeer, pythonPeer, denoPeer];

async function start(peer: Peer): Promise<ChildWithDescriptors<string>> {
  assert(peer.program.command, missing);
  const { command } = peer.program;
  return await spawnWithDescriptors(command, {
    args: peer.args,
    cwd,
    serialization: text(),
  });
}

function testPeer(
  peer: Peer,
  name: string,
  fn: (child: ChildWithDescriptors<string>) => Promise<void>,
) {
  Deno.test({
    name: `${name} (${peer.name})`,
    ignore: ignore || peer.program.ignore,
    async fn() {
      await using both = await start(peer);
      await fn(both);
      const { child, descriptors } = both;
      await descriptors.close();
      assertEquals((await child.close()).success, true);
    },
  });
}

async function withFile(
  contents: string,
  fn: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, contents);
    await fn(path);
  } finally {
    await Deno.remove(path);
  }
}

async function take(descriptors: DescriptorSocket): Promise<number> {
  const descriptor = await descriptors.receive();
  assert(descriptor !== null);
  return descriptor;
}

/** Read a socket to its end, and wait until it has closed its descriptor. */
async function readAll(socket: net.Socket): Promise<string> {
  const closed = once(socket, "close");
  const chunks = await socket.setEncoding("utf8").toArray();
  await closed;
  return chunks.join("");
}

async function listenLocally(): Promise<{ server: net.Server; port: number }> {
  const server = net.createServer({ pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert(address !== null && typeof address === "object");
  return { server, port: address.port };
}

async function ask(client: Deno.Conn, line: string): Promise<string> {
  await client.write(new TextEncoder().encode(`${line}\n`));
  return await hear(client);
}

async function hear(client: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(100);
  const length = await client.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
}

for (const peer of peers) {
  testPeer(peer, "DescriptorSocket.send() hands over a file", async (both) => {
    await withFile("taco cat", async (path) => {
      const file = openSync(path, "r");
      readSync(file, new Uint8Array(5));
      await both.child.channel.send("take a file");
      await both.descriptors.send(file);
      // The receiver goes on where this process was.
      assertEquals(await both.child.channel.receive(), "cat");
      closeSync(file);
    });
  });

  testPeer(peer, "DescriptorSocket.send() hands over a pipe", async (both) => {
    const [reader, writer] = pipe();
    await both.child.channel.send("take a pipe");
    await both.descriptors.send(writer);
    closeDescriptor(writer);
    const socket = openSocket(reader);
    assertEquals(await readAll(socket), "from the peer");
  });

  testPeer(
    peer,
    "DescriptorSocket.send() hands over a connection that goes on",
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
    "DescriptorSocket.send() hands over a listener on which the peer accepts",
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

  testPeer(peer, "DescriptorSocket.receive() gets a file", async (both) => {
    await withFile("taco cat", async (path) => {
      await both.child.channel.send(`give the file ${path}`);
      const descriptor = await take(both.descriptors);
      assertEquals(isCloseOnExec(descriptor), true);
      const file = await openFile(descriptor);
      assertEquals(isOpen(descriptor), false);
      assertEquals(await new Response(file.readable).text(), "cat");
    });
  });

  testPeer(peer, "DescriptorSocket.receive() gets a pipe", async (both) => {
    await both.child.channel.send("give a pipe");
    const descriptor = await take(both.descriptors);
    const socket = openSocket(descriptor);
    assertEquals(await readAll(socket), "from the peer");
    assertEquals(isOpen(descriptor), false);
  });

  testPeer(
    peer,
    "DescriptorSocket.receive() gets a connection that goes on",
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
    "DescriptorSocket.receive() gets a listener on which this process accepts",
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
      // What is loaded on first use stays open.
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
      assertEquals(openCount(), ours);
    },
  );
}

/** Two sockets of this process. */
function connected(): [DescriptorSocket, DescriptorSocket] {
  const [left, right] = socketPair();
  return [new DescriptorSocket(left), new DescriptorSocket(right)];
}

/** Descriptors of as many open files, each at another position: 0, 1, 2... */
async function withFiles(
  count: number,
  fn: (descriptors: number[]) => Promise<void>,
): Promise<void> {
  await withFile("x".repeat(count), async (path) => {
    const files = Array.from({ length: count }, (_, index) => {
      const file = openSync(path, "r");
      if (index > 0) readSync(file, new Uint8Array(index));
      return file;
    });
    try {
      await fn(files);
    } finally {
      for (const file of files) closeSync(file);
    }
  });
}

/** Tell descriptors apart, and close them. */
function positions(descriptors: (number | null)[]): (number | null)[] {
  return descriptors.map((descriptor) => {
    if (descriptor === null) return null;
    const at = position(descriptor);
    closeDescriptor(descriptor);
    return at;
  });
}

function test(name: string, fn: () => void | Promise<void>) {
  Deno.test({
    name,
    ignore,
    async fn() {
      const before = openCount();
      await fn();
      assertEquals(openCount(), before);
    },
  });
}

test("DescriptorSocket.receive() gives descriptors that are its own", async () => {
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

test("DescriptorSocket.receive() answers overlapping calls in order", async () => {
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

    // With a descriptor there to be taken
    assertEquals(
      await assertRejects(() => right.receive({ signal })),
      reason,
    );
    assertEquals(positions([await right.receive()]), [2]);

    // With nobody else waiting
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
    const received = withNoneFree(() => right.receive());
    await assertRejects(
      () => received,
      Error,
      "Cannot receive descriptor: the system dropped it, mostly since too many files are open",
    );
    assertEquals(positions([await right.receive()]), [1]);
    await left.close();
    await right.close();
  });
});

test("DescriptorSocket.send() rejects what is not open", async () => {
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
      `Cannot send descriptor ${descriptor}: a descriptor is an integer of 32 bits`,
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
    // It is sent at once, or not before somebody receives.
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

test("DescriptorSocket.send() rejects when the peer is gone", async () => {
  const [left, right] = connected();
  await right.close();
  await assertRejects(
    () => left.send(0),
    Deno.errors.BrokenPipe,
    "Cannot send descriptor 0: ",
  );
  await left.close();
});

test("DescriptorSocket.send() rejects when the peer goes while it waits", async () => {
  const [left, right] = connected();
  const sent = Array.from({ length: 1000 }, () => left.send(0));
  await right.close();
  await assertRejects(() => Promise.all(sent), Deno.errors.BrokenPipe);
  await left.close();
});

test("DescriptorSocket.receive() rejects when the peer went without receiving", async () => {
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

test("DescriptorSocket.close() sends what is being sent", async () => {
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

test("DescriptorSocket takes a Unix socket that is open", async () => {
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

test("DescriptorSocket waits for many on one thread", async () => {
  // More than Deno has threads for, which its own files need, too
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
  "DescriptorSocket.receive() gets several of one message in order",
  async ({ child, descriptors }) => {
    const before = openCount();
    await child.channel.send("give a file, a pipe and a listener at once");
    closeDescriptor(await take(descriptors));
    const socket = openSocket(await take(descriptors));
    assertEquals(await readAll(socket), "from the peer");
    const server = listen(await take(descriptors));
    await once(server, "listening");
    server.close();
    await once(server, "close");
    assertEquals(openCount(), before);

    // Those that nobody takes are closed, with the socket.
    await child.channel.send("give a file, a pipe and a listener at once");
    closeDescriptor(await take(descriptors));
    assertEquals(openCount(), before + 2);
    await descriptors.close();
    // The socket itself, and the two that wake what waits for it
    assertEquals(openCount(), before - 3);
  },
);

testPeer(
  pythonPeer,
  "DescriptorSocket.receive() rejects a byte that came without a descriptor",
  async ({ child, descriptors }) => {
    await child.channel.send("give a byte alone");
    await child.channel.send("give a listener");
    await assertRejects(
      () => descriptors.receive(),
      Deno.errors.InvalidData,
      "Cannot receive descriptor: a byte came without one",
    );
    closeDescriptor(await take(descriptors));
    await child.channel.send("close");
    assertEquals(await descriptors.receive(), null);
  },
);

async function outputOf(args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...args],
    cwd,
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim();
}

Deno.test({
  name: "descriptors.ts throws where FFI is not permitted in full",
  ignore,
  async fn() {
    const message =
      "NotCapable: Cannot use descriptors: it requires ffi access in full, run again with the --allow-ffi flag";
    assertEquals(await outputOf(["unavailable.ts"]), message);
    const partly = ["--allow-ffi=/nowhere", "unavailable.ts"];
    assertEquals(await outputOf(partly), message);
  },
});

Deno.test("descriptors.ts throws on another system", async () => {
  assertEquals(
    await outputOf(["--allow-ffi", "unavailable.ts", "windows"]),
    `NotSupported: Cannot use descriptors on windows (${Deno.build.arch}): Linux and macOS can`,
  );
});

test("openFile() opens with the same access, at the same position", async () => {
  await withFile("taco cat", async (path) => {
    const reading = openSync(path, "r");
    const writing = openSync(path, "r+");
    const appending = openSync(path, "a");
    readSync(reading, new Uint8Array(5));
    readSync(writing, new Uint8Array(5));
    const files = [];
    for (const file of [reading, writing, appending]) {
      const [left, right] = connected();
      await left.send(file);
      closeSync(file);
      const descriptor = await take(right);
      files.push(await openFile(descriptor));
      assertEquals(isOpen(descriptor), false);
      await left.close();
      await right.close();
    }
    const [reader, writer, appender] = files;
    assert(reader && writer && appender);

    await writer.write(new TextEncoder().encode("dog"));
    await appender.write(new TextEncoder().encode("!"));
    await writer.seek(0, Deno.SeekMode.Start);
    assertEquals(await new Response(writer.readable).text(), "taco dog!");
    assertEquals(await new Response(reader.readable).text(), "dog!");
    appender.close();
  });
  // One that cannot be written stays so.
  await withFile("taco cat", async (path) => {
    const [left, right] = connected();
    const reading = openSync(path, "r");
    await left.send(reading);
    closeSync(reading);
    using file = await openFile(await take(right));
    await assertRejects(() => file.write(new Uint8Array(1)));
    await left.close();
    await right.close();
  });
});

test("openFile() opens a file that has been deleted", async () => {
  const [left, right] = connected();
  await withFile("taco cat", async (path) => {
    const reading = openSync(path, "r");
    await left.send(reading);
    closeSync(reading);
  });
  const file = await openFile(await take(right));
  assertEquals(await new Response(file.readable).text(), "taco cat");
  await left.close();
  await right.close();
});

test("openFile() rejects what is not a file", async () => {
  const [reader, writer] = pipe();
  await assertRejects(
    () => openFile(reader),
    TypeError,
    `Cannot open descriptor ${reader} as a file: it is a pipe or a socket, which openSocket() opens`,
  );
  closeDescriptor(reader);
  closeDescriptor(writer);
  await assertRejects(
    () => openFile(reader),
    Deno.errors.BadResource,
    `Cannot open descriptor ${reader}: it is not open`,
  );
  await assertRejects(() => openFile(1.5), TypeError);
});

test("openSocket() opens a Unix socket", async () => {
  const [left, right] = socketPair();
  const socket = openSocket(left);
  const other = openSocket(right);
  socket.end("taco cat");
  assertEquals(String(await once(other, "data")), "taco cat");
  other.destroy();
  await once(socket, "close");
  assertEquals([isOpen(left), isOpen(right)], [false, false]);
});

test("openSocket() throws for what is not a stream", async () => {
  await withFiles(1, async ([file = -1]) => {
    const [left, right] = connected();
    const { server } = await listenLocally();
    await left.send(file);
    await left.send(descriptorOf(server));
    const received = [await take(right), await take(right)];
    const reasons = [
      "it is a file, which openFile() opens",
      "it is listening, which listen() is for",
    ];
    for (const [index, descriptor] of received.entries()) {
      assertThrows(
        () => openSocket(descriptor),
        TypeError,
        `Cannot open descriptor ${descriptor} as a stream: ${reasons[index]}`,
      );
      closeDescriptor(descriptor);
      assertThrows(
        () => openSocket(descriptor),
        Deno.errors.BadResource,
        `Cannot open descriptor ${descriptor}: it is not open`,
      );
    }
    server.close();
    await once(server, "close");
    await left.close();
    await right.close();
  });
});

test("listen() throws for what is not listening", () => {
  const ends = [...pipe(), ...socketPair()];
  for (const end of ends) {
    assertThrows(
      () => listen(end),
      TypeError,
      `Cannot listen on descriptor ${end}: it is not a listening socket`,
    );
    closeDescriptor(end);
    assertThrows(
      () => listen(end),
      Deno.errors.BadResource,
      `Cannot listen on descriptor ${end}: it is not open`,
    );
  }
});

test("closeDescriptor() throws for what is not open", () => {
  const [reader, writer] = pipe();
  closeDescriptor(reader);
  assertThrows(
    () => closeDescriptor(reader),
    Deno.errors.BadResource,
    `Cannot close descriptor ${reader}: it is not open`,
  );
  closeDescriptor(writer);
  assertThrows(() => closeDescriptor(0.5), TypeError);
});

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
      // Over IPv4 where the listener takes both
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
  name: "descriptorOf() tells addresses with the same port apart",
  ignore: Deno.build.os !== "linux", // others have 127.0.0.1 only
  fn() {
    using first = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = first.addr;
    using second = Deno.listen({ hostname: "127.0.0.2", port });
    assertNotEquals(descriptorOf(first), descriptorOf(second));
  },
});

test("descriptorOf() throws for what is closed or not TCP", async () => {
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

test("descriptorOf() throws for a connection that its peer has reset", async () => {
  const { server, port } = await listenLocally();
  const accepted = once(server, "connection");
  const client = await Deno.connect({ hostname: "127.0.0.1", port });
  const [socket] = await accepted;
  assertInstanceOf(socket, net.Socket);
  const descriptor = descriptorOf(socket);
  await new Promise((resolve) => socket.write("taco cat", resolve));
  // What it has not read resets it.
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

/** How a child in Python connects by hand, to be followed by what it then does. */
const connecting = `
import os, socket

def connect(variable):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ[variable])
    return connection

def send_token(connection):
    connection.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
    return connection
`;

/** A test of what `spawnWithDescriptors()` does with a child that follows `connecting`. */
function testSpawn(
  name: string,
  program: string,
  fn: (
    spawn: (
      options?: SpawnWithDescriptorsOptions<Uint8Array>,
    ) => Promise<ChildWithDescriptors<Uint8Array>>,
  ) => Promise<void>,
) {
  Deno.test({
    name: `spawnWithDescriptors() ${name}`,
    ignore: ignore || python.ignore,
    async fn() {
      assert(python.command, missing);
      const { command } = python;
      const directory = await Deno.makeTempDir();
      const args = ["-S", "-c", connecting + program];
      // What is loaded on first use stays open.
      const first = await spawnWithDescriptors(command, {
        args: ["-S", "-c", connecting + both],
      });
      await first[Symbol.asyncDispose]();

      const before = openCount();
      await fn((options) =>
        spawnWithDescriptors(command, { args, directory, ...options })
      );
      assertEquals(openCount(), before);
      // Fails unless it is empty
      await Deno.remove(directory);
    },
  });
}

const both = `
channel = send_token(connect("SOCKETPAIR_PATH"))
descriptors = send_token(connect("SOCKETPAIR_DESCRIPTORS_PATH"))
`;

testSpawn(
  "lets in a child that exits at once",
  `${both}
socket.send_fds(descriptors, [b"."], [0])
os._exit(0)
`,
  async (spawn) => {
    for (let count = 0; count < 10; count++) {
      await using started = await spawn();
      closeDescriptor(await take(started.descriptors));
    }
  },
);

testSpawn(
  "lets in nobody but who has the token",
  `
path = "SOCKETPAIR_DESCRIPTORS_PATH"
silent = [connect(path) for _ in range(40)]
wrong = [connect(path) for _ in range(5)]
for connection in wrong:
    socket.send_fds(connection, [b"x" * 64], [0, 1])
connect(path).close()
silent.pop(0).recv(1) # the longest waiting makes room for the others
slow = connect(path)
slow.sendall(os.environ["SOCKETPAIR_TOKEN"][:20].encode())
channel = send_token(connect("SOCKETPAIR_PATH"))
slow.sendall(os.environ["SOCKETPAIR_TOKEN"][20:].encode())
socket.send_fds(slow, [b"."], [0])
dropped = [connection.recv(1) for connection in silent + wrong]
`,
  async (spawn) => {
    await using started = await spawn();
    const { child, descriptors } = started;
    closeDescriptor(await take(descriptors));
    assertEquals(await descriptors.receive(), null);
    assertEquals((await child.status).success, true);
  },
);

testSpawn(
  "rejects when the child exits before it connects the second time",
  `
send_token(connect("SOCKETPAIR_PATH"))
connect("SOCKETPAIR_DESCRIPTORS_PATH")
os._exit(3)
`,
  async (spawn) => {
    const error = await assertRejects(() => spawn(), ConnectError);
    assertEquals(error.status?.code, 3);
  },
);

testSpawn(
  "rejects when the child connects the second time only",
  `
descriptors = send_token(connect("SOCKETPAIR_DESCRIPTORS_PATH"))
descriptors.recv(1)
`,
  async (spawn) => {
    await assertRejects(() => spawn({ connectTimeout: 300 }), ConnectError);
  },
);

testSpawn(
  "rejects when the child does not connect the second time",
  `
channel = send_token(connect("SOCKETPAIR_PATH"))
descriptors = connect("SOCKETPAIR_DESCRIPTORS_PATH")
channel.recv(1)
`,
  async (spawn) => {
    await assertRejects(() => spawn({ connectTimeout: 300 }), ConnectError);
    const reason = new Error("no longer wanted");
    const controller = new AbortController();
    const started = spawn({ signal: controller.signal });
    controller.abort(reason);
    assertEquals(await assertRejects(() => started), reason);
  },
);

testSpawn("rejects when the child cannot be started", "", async (spawn) => {
  await assertRejects(() => spawn({ cwd: "/nowhere" }), Deno.errors.NotFound);
});

Deno.test({
  name: "spawnWithDescriptors() gives the socket to the user of the child",
  ignore: ignore || Deno.uid() !== 0 || !python.command,
  async fn() {
    const nobody = 65534;
    // Not pyenv's Python, which root may keep to itself
    const { child, descriptors } = await spawnWithDescriptors(
      "/usr/bin/python3",
      {
        args: [
          "-S",
          "-c",
          `${connecting}${both}os._exit(os.getuid() == 65534)`,
        ],
        uid: nobody,
        gid: nobody,
      },
    );
    assertEquals(await descriptors.receive(), null);
    await descriptors.close();
    assertEquals((await child.close()).code, 1);
  },
});

testPeer(
  denoPeer,
  "connectDescriptorsToParent() takes the variables out of the environment",
  async ({ child }) => {
    await child.channel.send("environment");
    assertEquals(await child.channel.receive(), "");
    assertEquals(
      await child.channel.receive(),
      "Error: Cannot connect to parent: SOCKETPAIR_DESCRIPTORS_PATH and SOCKETPAIR_TOKEN are not set: spawnWithDescriptors() sets them, and they serve once",
    );
  },
);

Deno.test("connectDescriptorsToParent() rejects outside a child", async () => {
  await assertRejects(
    () => connectDescriptorsToParent(),
    Error,
    "Cannot connect to parent: SOCKETPAIR_DESCRIPTORS_PATH and SOCKETPAIR_TOKEN are not set",
  );
});
