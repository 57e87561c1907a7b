// What json() is made of, one after the other in one process, and nothing else: stringify, encodeInto, decode, parse.
//
// usage: deno run -A json_parts.ts oneway|records SIZE COUNT WARM

const [workload, ...numbers] = Deno.args;
const [size = 0, count = 0, warm = 0] = numbers.map(Number);

const EMPTY = '{"text":""}'.length;
const messages: unknown[] = workload === "records"
  ? JSON.parse(await Deno.readTextFile(Deno.env.get("BENCH_RECORDS") ?? ""))
  : [{ text: "x".repeat(size - EMPTY) }];

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const memory = new Uint8Array(
  3 * Math.max(...messages.map((message) => JSON.stringify(message).length)),
);

function run(n: number): number {
  let done = 0;
  for (let i = 0; i < n; i++) {
    const text = JSON.stringify(messages[i % messages.length]);
    const { written } = encoder.encodeInto(text, memory);
    const message = JSON.parse(decoder.decode(memory.subarray(0, written)));
    if (typeof message === "object") done++;
  }
  return done;
}

run(warm);
const began = performance.now();
const done = run(count);
const seconds = (performance.now() - began) / 1000;
console.log(JSON.stringify({ messages: done, seconds }));
