import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Channel, type Connection } from "../../channel.ts";
import type { Failure } from "../../channel/waiters.ts";
import { socketPair } from "../../pair.ts";
import { ChildConnection, type Exit } from "../../pair/child_connection.ts";

/** A child that exits when the test says so. */
function fakeChild(isAsked = false) {
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  let failure: Failure | undefined;
  const exit: Exit = {
    exited,
    isAsked,
    failure: () => Promise.resolve(failure),
  };
  return {
    exit,
    end(reason?: unknown) {
      if (reason !== undefined) failure = { reason };
      resolve();
    },
  };
}

/** Two channels, one of them over a connection to a child that was asked to end. */
async function channels(): Promise<[Channel, Channel]> {
  const [left, right] = await socketPair();
  const connection = new ChildConnection(left, fakeChild(true).exit);
  return [new Channel(connection), new Channel(right)];
}

/** A connection that cannot be written to, and notes what is done to it. */
function unwritable(
  chunks: number,
  onClose: () => void = () => {},
): Connection {
  return {
    read: (buffer) => Promise.resolve(chunks-- > 0 ? buffer.length : null),
    write: () => Promise.reject(new Deno.errors.BrokenPipe()),
    closeWrite: () => Promise.resolve(),
    close: onClose,
    ref() {},
    unref() {},
  };
}

Deno.test("ChildConnection.close() of a child that was asked to end discards what still arrives until the peer ends", async () => {
  const [a, b] = await channels();
  const received = a.receive();
  await a.close();
  assertEquals(await received, null);
  for (let i = 0; i < 10; i++) await b.send(new Uint8Array(300_000));
  assertEquals(await b.receive(), null);
  await b.closeWrite();
  await Promise.all([a.closed, b.closed]);
});

Deno.test("ChildConnection.close() of a child that was asked to end lets the peer send on after receiving was cancelled", async () => {
  const [a, b] = await channels();
  await a.readable.cancel();
  await a.close();
  for (let i = 0; i < 10; i++) await b.send(new Uint8Array(300_000));
  assertEquals(await b.receive(), null);
  await b.closeWrite();
});

Deno.test("ChildConnection.close() of a child that was asked to end discards what still arrives after a failed write", async () => {
  const closed = Promise.withResolvers<void>();
  const connection = new ChildConnection(
    unwritable(2, closed.resolve),
    fakeChild(true).exit,
  );
  const reason = new Error("no");
  assertStrictEquals((await connection.endWriting({ reason })).reason, reason);
  connection.close();
  await closed.promise;
  assertEquals(await connection.read(new Uint8Array(1)), null);
});

Deno.test("ChildConnection.close() of a child that was asked to end closes at once while the channel is still sending", async () => {
  const [a, b] = await channels();
  a.send(new Uint8Array(5_000_000));
  a.abort();
  assertEquals(await b.receive().catch(() => null), null);
  b.abort();
});

Deno.test("Channel.closeWrite() and close() resolve, and flush() rejects, once the child has exited and both directions have ended", async () => {
  for (const end of ["closeWrite", "close", "send"] as const) {
    const [left, right] = await socketPair();
    const child = fakeChild();
    child.end();
    const channel = new Channel(new ChildConnection(left, child.exit));
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

Deno.test("ChildConnection.closeWrite() resolves when the exit of the child has closed the connection", async () => {
  const [left, right] = await socketPair();
  const child = fakeChild();
  child.end();
  const connection = new ChildConnection(left, child.exit);
  await connection.read(new Uint8Array(1)).catch(() => {});
  await connection.closeWrite();
  right.close();
});

Deno.test("ChildConnection ends a pending write when its last read ends after the exit", async () => {
  const child = fakeChild();
  const closed = Promise.withResolvers<never>();
  const connection = new ChildConnection({
    ...unwritable(0, () => closed.reject(new Deno.errors.BadResource())),
    read: () => closed.promise,
    write: () => closed.promise,
  }, child.exit);
  const channel = new Channel(connection);
  const received = channel.receive();
  const sent = channel.send(new Uint8Array(1_000_000));
  child.end();
  await assertRejects(() => sent, Deno.errors.BrokenPipe);
  await received.catch(() => null);
});

Deno.test("Channel.send() that another process keeps waiting rejects after the exit of the child even if nobody receives", async () => {
  for (const crash of [undefined, new Error("crash")]) {
    const [left, right] = await socketPair();
    const child = fakeChild();
    const channel = new Channel(new ChildConnection(left, child.exit));
    await right.write(new Uint8Array(5));
    const sent = channel.send(new Uint8Array(5_000_000));
    child.end(crash);
    const error = await assertRejects(() => sent);
    if (crash) assertStrictEquals(error, crash);
    else assertEquals(error instanceof Deno.errors.BrokenPipe, true);
    channel.abort();
    right.close();
  }
});

Deno.test("ChildConnection.read() gives what the child had sent, and ends though another process holds its end", async () => {
  const [left, right] = await socketPair();
  const child = fakeChild();
  const connection = new ChildConnection(left, child.exit);
  await right.write(Uint8Array.of(1, 2, 3));
  child.end();
  await connection.exited;
  const buffer = new Uint8Array(2);
  assertEquals(await connection.read(buffer), 2);
  assertEquals(await connection.read(buffer), 1);
  const error = await assertRejects(() => connection.read(buffer));
  assertEquals(await connection.endReading({ reason: error }), undefined);
  right.close();
});

Deno.test("ChildConnection ends though another process sends on", async () => {
  const [left, right] = await socketPair();
  const child = fakeChild();
  const crash = new Error("crash");
  const channel = new Channel(new ChildConnection(left, child.exit));
  child.end(crash);
  const sending = assertRejects(async () => {
    for (;;) {
      await right.write(new Uint8Array(4));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  assertStrictEquals(
    await Array.fromAsync(channel).catch((error) => error),
    crash,
  );
  await sending;
  right.close();
});
