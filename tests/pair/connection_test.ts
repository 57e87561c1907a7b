import { assert, assertEquals, assertRejects } from "@std/assert";
import { Channel, type Connection } from "../../channel.ts";
import { ExitError, socketPair } from "../../pair.ts";
import { ChildConnection, Exit } from "../../pair/connection.ts";

/** The exit of a child that was asked to end, and has not. */
function pendingExit(): Exit {
  const { promise: status } = Promise.withResolvers<Deno.CommandStatus>();
  const exit = new Exit({ pid: 1, status }, "child");
  exit.ask();
  return exit;
}

/** Two channels, one of them over a connection that can drain. */
async function channels(): Promise<[ChildConnection, Channel, Channel]> {
  const [left, right] = await socketPair();
  const connection = new ChildConnection(left, pendingExit(), { isUnix: true });
  return [connection, new Channel(connection), new Channel(right)];
}

/** A connection that cannot be written to, and says what is done to it. */
function unwritable(chunks: number, calls: string[]): Connection {
  return {
    read(buffer) {
      calls.push("read");
      return Promise.resolve(chunks-- > 0 ? buffer.length : null);
    },
    write: () => Promise.reject(new Deno.errors.BrokenPipe()),
    closeWrite: () => Promise.resolve(),
    close: () => void calls.push("close"),
    ref() {},
    unref() {},
  };
}

Deno.test("ChildConnection.close() discards what still comes until the peer ends", async () => {
  const [connection, a, b] = await channels();
  const received = a.receive();
  connection.drain();
  await a.close();
  assertEquals(await received, null);
  for (let i = 0; i < 10; i++) await b.send(new Uint8Array(300_000));
  assertEquals(await b.receive(), null);
  await b.closeWrite();
  await connection.closed;
  await Promise.all([a.closed, b.closed]);
});

Deno.test("ChildConnection.close() lets the peer send on after receiving was cancelled", async () => {
  const [connection, a, b] = await channels();
  await a.readable.cancel();
  connection.drain();
  await a.close();
  for (let i = 0; i < 10; i++) await b.send(new Uint8Array(300_000));
  assertEquals(await b.receive(), null);
  await b.closeWrite();
  await connection.closed;
});

Deno.test("ChildConnection.close() discards what still comes after a failed write", async () => {
  const calls: string[] = [];
  const connection = new ChildConnection(unwritable(2, calls), pendingExit(), {
    isUnix: false,
  });
  connection.drain();
  await assertRejects(() => connection.write(new Uint8Array(1)));
  connection.close();
  await connection.closed;
  assertEquals(calls, ["read", "read", "read", "close"]);
});

Deno.test("ChildConnection.close() closes at once while the channel is still sending", async () => {
  const [connection, a, b] = await channels();
  a.send(new Uint8Array(5_000_000));
  connection.drain();
  a.abort();
  await connection.closed;
  await assertRejects(() => b.receive());
});

Deno.test("ChildConnection.closed resolves when the peer dies", async () => {
  const [connection, a, b] = await channels();
  a.send(new Uint8Array(5_000_000));
  connection.drain();
  const closing = assertRejects(() => a.close());
  b.abort();
  await connection.closed;
  await closing;
});

Deno.test({
  name:
    "ChildConnection.read() waits for the exit of a child that is seen to have gone only later",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { promise: status, resolve } = Promise.withResolvers<
      Deno.CommandStatus
    >();
    let looks = 0;
    const connection = new ChildConnection(
      {
        ...unwritable(0, []),
        write() {
          // The third look
          if (++looks < 3) return Promise.resolve(0);
          resolve({ success: false, code: 1, signal: null });
          return Promise.reject(new Deno.errors.BrokenPipe());
        },
      },
      new Exit({ pid: 1, status }, "child"),
      { isUnix: true },
    );
    const error = await assertRejects(
      () => connection.read(new Uint8Array(1)),
      ExitError,
    );
    assertEquals(looks, 3);
    await connection.closed;
    assertEquals(error.cause, undefined);
    connection.destroy();
  },
});

Deno.test({
  name:
    "ChildConnection.read() waits for no exit while the child takes what is written",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { promise: status } = Promise.withResolvers<Deno.CommandStatus>();
    let looks = 0;
    const connection = new ChildConnection(
      { ...unwritable(0, []), write: () => Promise.resolve(0 * ++looks) },
      new Exit({ pid: 1, status }, "child"),
      { isUnix: true },
    );
    assertEquals(await connection.read(new Uint8Array(1)), null);
    assert(looks > 1);
    connection.destroy();
  },
});

Deno.test("Channel.closeWrite() and close() resolve, and send() says so, once the child has exited and both directions have ended", async () => {
  for (const end of ["closeWrite", "close", "send"] as const) {
    const [left, right] = await socketPair();
    const status = Promise.resolve({ success: true, code: 0, signal: null });
    const exit = new Exit({ pid: 1, status }, "child");
    const channel = new Channel(
      new ChildConnection(left, exit, { isUnix: true }),
    );
    right.close();
    assertEquals(await channel.receive(), null);
    await channel.closed;
    if (end === "send") {
      await channel.send(new Uint8Array(1));
      await assertRejects(() => channel.flush(), Deno.errors.BrokenPipe);
    } else {
      await channel[end]();
      await channel.close();
    }
  }
});

Deno.test("ChildConnection.closeWrite() resolves where the connection was closed as only another process held it", async () => {
  const [left, right] = await socketPair();
  const status = Promise.resolve({ success: true, code: 0, signal: null });
  const exit = new Exit({ pid: 1, status }, "child");
  const connection = new ChildConnection(left, exit, { isUnix: true });
  assertEquals(await connection.read(new Uint8Array(1)), null);
  await connection.closeWrite();
  connection.destroy();
  right.close();
});

Deno.test("ChildConnection.write() that waits ends, too, where the last read ends after the exit", async () => {
  const status = Promise.withResolvers<Deno.CommandStatus>();
  const exit = new Exit({ pid: 1, status: status.promise }, "child");
  const closed = Promise.withResolvers<never>();
  const reads = [Promise.withResolvers<number>()];
  const connection = new ChildConnection(
    {
      ...unwritable(0, []),
      read: () => reads.shift()?.promise ?? closed.promise,
      write: () => closed.promise,
      close: () => closed.reject(new Deno.errors.BadResource()),
    },
    exit,
    { isUnix: true },
  );
  const [last] = reads;
  const read = connection.read(new Uint8Array(1));
  const written = connection.write(new Uint8Array(1));
  status.resolve({ success: true, code: 0, signal: null });
  await connection.gone;
  last?.resolve(1);
  assertEquals(await read, 1);
  await assertRejects(() => written, Deno.errors.BrokenPipe);
  connection.destroy();
});

Deno.test("ChildConnection keeps what the child had sent, and closes though nobody reads and another process holds its end", async () => {
  const [left, right] = await socketPair();
  await right.write(Uint8Array.of(1, 2, 3));
  const status = Promise.resolve({ success: true, code: 0, signal: null });
  const exit = new Exit({ pid: 1, status }, "child");
  const connection = new ChildConnection(left, exit, { isUnix: true });
  await connection.closed;
  const buffer = new Uint8Array(2);
  assertEquals(await connection.read(buffer), 2);
  assertEquals(buffer, Uint8Array.of(1, 2));
  assertEquals(await connection.read(buffer), 1);
  assertEquals(buffer[0], 3);
  assertEquals(await connection.read(buffer), null);
  right.close();
});
