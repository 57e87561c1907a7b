/**
 * What tracing costs while it is off: `deno run -A tests/bench/trace.ts`.
 *
 * Compares `Channel` as it is with a copy out of which the calls of `#trace` are cut, over a
 * socket pair in this process, by turns in one run.
 */

import { Channel } from "../../channel.ts";
import { socketPair } from "../../pair.ts";

const ROUNDS = 15;
const MESSAGES = 200_000;
const SIZE = 64;

async function withoutTrace(): Promise<typeof Channel> {
  const source = new URL("../../channel.ts", import.meta.url);
  const code = await Deno.readTextFile(source);
  const cut = code
    .replaceAll(/(?:if \(bytes\) )?this\.#trace\?\.\([^;]*;/g, "")
    .replaceAll(
      /from "([^"]+)"/g,
      (_, specifier) =>
        `from "${
          specifier.startsWith(".")
            ? new URL(specifier, source)
            : import.meta.resolve(specifier)
        }"`,
    );
  if (cut.includes("#trace?.")) throw new Error("Cannot cut out #trace");
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, cut);
  const module = await import(`file://${file}`);
  await Deno.remove(file);
  return module.Channel;
}

/** Messages a second, one way. */
async function measure(Channel: typeof withTrace): Promise<number> {
  const [left, right] = await socketPair();
  const [a, b] = [new Channel(left), new Channel(right)];
  const message = new Uint8Array(SIZE);
  const start = performance.now();
  async function receive() {
    for (let i = 0; i < MESSAGES; i++) await b.receive();
  }
  const received = receive();
  for (let i = 0; i < MESSAGES; i++) await a.send(message);
  await received;
  const seconds = (performance.now() - start) / 1000;
  await a.close();
  await b.close();
  return MESSAGES / seconds;
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN;
}

const withTrace = Channel;
const without = await withoutTrace();
const rates = { with: [] as number[], without: [] as number[] };
await measure(withTrace);
await measure(without);
for (let round = 0; round < ROUNDS; round++) {
  rates.with.push(await measure(withTrace));
  rates.without.push(await measure(without));
}
const [on, off] = [median(rates.with), median(rates.without)];
// deno-lint-ignore no-console -- the output of the benchmark
console.log(
  `${SIZE} B one way, medians of ${ROUNDS}: ${on.toFixed(0)} messages/s, ${
    off.toFixed(0)
  } without the calls: ${(on / off).toFixed(3)}`,
);
