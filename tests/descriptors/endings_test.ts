import { assertEquals } from "@std/assert";

const ignore = Deno.build.os === "windows";
const cwd = new URL("./endings/", import.meta.url);

/** A process that does not exit is killed after this many ms. */
const LIMIT = 60_000;

function testEnd(name: string, program: string, ...args: string[]) {
  Deno.test({
    name,
    ignore,
    async fn() {
      const { code, signal, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", program, ...args],
        cwd,
        signal: AbortSignal.timeout(LIMIT),
      }).output();
      assertEquals(new TextDecoder().decode(stderr), "");
      assertEquals({ code, signal }, { code: 0, signal: null });
    },
  });
}

for (let turns = 0; turns < 4; turns++) {
  testEnd(
    `DescriptorSocket.receive() lets the process exit if its signal aborts after ${turns} turns`,
    "aborted.ts",
    `${turns}`,
  );
  testEnd(
    `listenForDescriptors() lets the process exit if it is closed after ${turns} turns`,
    "handshake.ts",
    `${turns}`,
  );
}

testEnd(
  "DescriptorSocket.close() resolves if both ends have filled the socket",
  "full.ts",
);

testEnd(
  "DescriptorSocket lets the process exit after random operations",
  "random.ts",
);

testEnd(
  "spawnWithDescriptors() lets the process exit if its signal aborts at any stage",
  "spawn.ts",
);

testEnd(
  "DescriptorSocket.receive() keeps the memory of poll() after its Worker is terminated",
  "terminated.ts",
);
