import { json, spawnModule } from "@socketpair/socketpair";
import { retry } from "@std/async";

const url = import.meta.resolve("./sandbox/child.ts");
let attempt = 0;

/** Resolves when a child has succeeded. Rejects with `ExitError` if it crashes, and `ConnectError` if it fails to start. */
async function runOnce() {
  await using child = await spawnModule(url, {
    args: [String(++attempt)],
    serialization: json<string>(),
    stderr: "null",
  });
  for await (const message of child.channel) console.log(message);
}

// Wait 100, 200, 400, 800 ms and so on between attempts, at most 10 s.
await retry(runOnce, {
  maxAttempts: 8,
  minTimeout: 100,
  maxTimeout: 10_000,
  jitter: 0,
});
console.log(`succeeded at attempt ${attempt}`); // succeeded at attempt 3
