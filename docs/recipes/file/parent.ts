import { spawnModule } from "@socketpair/socketpair";

const [from = "large.txt", to = `${from}.gz`] = Deno.args;

const url = import.meta.resolve("./sandbox/child.ts");
await using child = await spawnModule(url);

using input = await Deno.open(from);
using output = await Deno.open(to, { write: true, create: true });

// Backpressure goes all the way: a file of any size takes a few MB of memory.
await Promise.all([
  input.readable.pipeTo(child.channel.writable),
  child.channel.readable.pipeTo(output.writable),
]);
