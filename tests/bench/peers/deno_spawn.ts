// Deno.listen and Deno.Command by hand with the same child as ours has: the one of ours.ts, which loads the library and
// connects by it. It tells what spawn() costs besides what the child does.
//
// usage: deno run -A deno_spawn.ts spawn SIZE COUNT WARM

const TOKEN_LENGTH = 64;
const HEADER_LENGTH = 4;

const numbers = Deno.args.slice(1);
const [size = 0, count = 0, warm = 0] = numbers.map(Number);
const program = `${import.meta.dirname ?? "."}/ours.ts`;
const buffer = new Uint8Array(TOKEN_LENGTH + HEADER_LENGTH + size);

let milliseconds = 0;
for (let i = 0; i < warm + count; i++) {
  const began = performance.now();
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  using listener = Deno.listen({ transport: "unix", path });
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", program, "child", "send", "spawn", ...numbers],
    env: {
      SOCKETPAIR_PATH: path,
      SOCKETPAIR_TOKEN: "0".repeat(TOKEN_LENGTH),
    },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  using conn = await listener.accept();
  await Deno.remove(directory, { recursive: true });
  for (let length = 0; length < buffer.length;) {
    const read = await conn.read(buffer.subarray(length));
    if (read === null) {
      throw new Error("Cannot receive: the other side has closed");
    }
    length += read;
  }
  if (i >= warm) milliseconds += performance.now() - began;
  await conn.closeWrite();
  await process.status;
}
console.log(JSON.stringify({ messages: count, seconds: milliseconds / 1000 }));
