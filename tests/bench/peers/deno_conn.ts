// The most that Deno gives without a library: Deno.listen, Deno.Command, Deno.connect, and the connection read and
// written by hand. Nothing frames the messages: both sides count bytes.
//
// usage: deno run -A deno_conn.ts WORKLOAD SIZE COUNT WARM

const PAUSE_EVERY = 8 << 20;
const PAUSE = 10;
const EXCHANGES = 100;

const isChild = Deno.args[0] === "child";
const [workload = "", ...numbers] = Deno.args.slice(isChild ? 1 : 0);
const [size = 0, count = 0, warm = 0] = numbers.map(Number);
const message = new Uint8Array(size).fill(0x78);
const buffer = new Uint8Array(256 * 1024);

async function sendMany(conn: Deno.Conn, n: number): Promise<void> {
  for (let i = 0; i < n; i++) {
    let written = await conn.write(message);
    while (written < size) {
      written += await conn.write(message.subarray(written));
    }
  }
}

async function receiveMany(conn: Deno.Conn, n: number): Promise<number> {
  let left = n * size;
  let untilPause = PAUSE_EVERY;
  while (left > 0) {
    const read = await conn.read(
      left < buffer.length ? buffer.subarray(0, left) : buffer,
    );
    if (read === null) {
      throw new Error("Cannot receive: the other side has closed");
    }
    left -= read;
    if (workload === "slow" && (untilPause -= read) < read) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      untilPause = PAUSE_EVERY;
    }
  }
  return n;
}

async function sendNumber(conn: Deno.Conn, n: number): Promise<void> {
  await conn.write(new Uint8Array(Uint32Array.of(n).buffer));
}

async function receiveNumber(conn: Deno.Conn): Promise<number> {
  const number = new Uint32Array(1);
  await conn.read(new Uint8Array(number.buffer));
  return number[0] ?? 0;
}

async function sendAndReceiveMany(conn: Deno.Conn, n: number): Promise<number> {
  const [received] = await Promise.all([
    receiveMany(conn, n),
    sendMany(conn, n),
  ]);
  return received;
}

async function parent(conn: Deno.Conn, n: number): Promise<number> {
  switch (workload) {
    case "roundtrip":
      for (let i = 0; i < n; i++) {
        await sendMany(conn, 1);
        await receiveMany(conn, 1);
      }
      return n;
    case "both":
      return await sendAndReceiveMany(conn, n) + await receiveNumber(conn);
    default:
      await sendMany(conn, n);
      return await receiveNumber(conn);
  }
}

async function child(conn: Deno.Conn, n: number): Promise<void> {
  await sendNumber(
    conn,
    workload === "both"
      ? await sendAndReceiveMany(conn, n)
      : await receiveMany(conn, n),
  );
}

async function start(): Promise<[Deno.Conn, Deno.ChildProcess]> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  using listener = Deno.listen({ transport: "unix", path });
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", Deno.mainModule, "child", ...Deno.args],
    env: { BENCH_PATH: path },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const conn = await listener.accept();
  await Deno.remove(directory, { recursive: true });
  return [conn, process];
}

function report(line: unknown): void {
  console.log(JSON.stringify(line));
}

if (isChild) {
  using conn = await Deno.connect({
    transport: "unix",
    path: Deno.env.get("BENCH_PATH") ?? "",
  });
  if (workload === "roundtrip" || workload === "children") {
    for (let n; (n = await conn.read(buffer)) !== null;) {
      await conn.write(buffer.subarray(0, n));
    }
  } else if (workload === "spawn") {
    await conn.write(message);
    await conn.read(buffer);
  } else {
    await child(conn, warm);
    await child(conn, count);
    await conn.read(buffer);
  }
} else if (workload === "children") {
  const began = performance.now();
  await Promise.all(Array.from({ length: count }, async () => {
    const [conn, process] = await start();
    for (let i = 0; i < EXCHANGES; i++) {
      await sendMany(conn, 1);
      await receiveMany(conn, 1);
    }
    conn.close();
    await process.status;
  }));
  report({
    messages: count * EXCHANGES,
    seconds: (performance.now() - began) / 1000,
  });
} else if (workload === "spawn") {
  let milliseconds = 0;
  for (let i = 0; i < warm + count; i++) {
    const began = performance.now();
    const [conn, process] = await start();
    await receiveMany(conn, 1);
    if (i >= warm) milliseconds += performance.now() - began;
    conn.close();
    await process.status;
  }
  report({ messages: count, seconds: milliseconds / 1000 });
} else {
  const [conn, process] = await start();
  await parent(conn, warm);
  const line = new Uint8Array(1);
  if (workload === "slow") {
    report({ pids: [Deno.pid, process.pid] });
    await Deno.stdin.read(line);
  }
  const began = performance.now();
  const messages = await parent(conn, count);
  report({ messages, seconds: (performance.now() - began) / 1000 });
  if (workload === "slow") await Deno.stdin.read(line);
  conn.close();
  await process.status;
}
