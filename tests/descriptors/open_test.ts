import { once } from "node:events";
import { closeSync, openSync, readSync } from "node:fs";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  closeDescriptor,
  descriptorOf,
  listen,
  openFile,
  openSocket,
} from "../../descriptors.ts";
import { take, withFile, withFiles } from "./files.ts";
import { isOpen, pipe, socketPair } from "./libc.ts";
import { connected, listenLocally } from "./sockets.ts";
import { test } from "./without_leak.ts";

test("openFile() opens the file with the same access at the same position", async () => {
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
  // A read-only file stays read-only.
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

test("openFile() rejects a descriptor that is not a file", async () => {
  const [reader, writer] = pipe();
  await assertRejects(
    () => openFile(reader),
    TypeError,
    `Cannot open descriptor ${reader} as a file: it is a pipe or a socket, use openSocket()`,
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

test("openSocket() throws if the descriptor is not a stream", async () => {
  await withFiles(1, async ([file = -1]) => {
    const [left, right] = connected();
    const { server } = await listenLocally();
    await left.send(file);
    await left.send(descriptorOf(server));
    const received = [await take(right), await take(right)];
    const reasons = [
      "it is a file, use openFile()",
      "it is a listening socket, use listen()",
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

test("listen() throws if the descriptor is not listening", () => {
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

test("closeDescriptor() throws if the descriptor is not open", () => {
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
