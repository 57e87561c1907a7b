/** Attacks what its standard output is, and prints. */
import { fchmodSync, ftruncateSync } from "node:fs";
import { isatty, ReadStream } from "node:tty";
import { json } from "../../../../channel.ts";
import { connectToParent } from "../../../../pair.ts";

await using parent = await connectToParent({ serialization: json() });

async function typed(): Promise<string> {
  if (!isatty(1)) throw new Error("It is no terminal");
  const stream = new ReadStream(1);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  stream.on("data", (data) => resolve(String(data))).on("error", reject);
  // Somebody may type now
  await parent.send("reading");
  return await promise;
}

const attacks: Record<string, () => unknown> = {
  truncate: () => ftruncateSync(1),
  chmod: () => fchmodSync(1, 0o777),
  type: typed,
  lines: () => {
    const name = Deno.args[1];
    for (let number = 0; number < 1_000; number++) {
      console.log(`${name} ${number} ${"x".repeat(number % 300)}`);
    }
  },
  rest: () => Deno.stdout.writeSync(new TextEncoder().encode("no end")),
  leave: () =>
    parent.send(new Deno.Command("sleep", { args: ["20"] }).spawn().pid),
};

try {
  const attack = attacks[Deno.args[0] ?? ""];
  if (attack === undefined) throw new Error(`No attack ${Deno.args[0]}`);
  await attack();
  await parent.send("done");
} catch (error) {
  await parent.send(`refused: ${error}`);
}
await parent.flush();
Deno.exit();
