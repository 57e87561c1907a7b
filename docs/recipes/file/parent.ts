import { spawnModule } from "@socketpair/socketpair";

const [from = "large.txt", to = `${from}.gz`] = Deno.args;

const url = import.meta.resolve("./sandbox/child.ts");
await using child = await spawnModule(url);

using input = await Deno.open(from);
using output = await Deno.create(to);

// Backpressure reaches the file: neither process holds all of it in memory.
await Promise.all([
  input.readable.pipeTo(child.channel.writable),
  child.channel.readable.pipeTo(output.writable),
]);
