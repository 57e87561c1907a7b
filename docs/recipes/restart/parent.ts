import { json, spawnModule } from "@socketpair/socketpair";
import { retry } from "@std/async";

const url = import.meta.resolve("./sandbox/child.ts");
let attempt = 0;

/** Resolves when a child has ended well. A crash is an ExitError, a start that failed a ConnectError. */
async function runOnce() {
  await using child = await spawnModule(url, {
    args: [String(++attempt)],
    serialization: json<string>(),
    stderr: "null",
  });
  for await (const message of child.channel) console.log(message);
}

// 100, 200, 400, 800 ms and so on between the attempts, but no more than 10 s
await retry(runOnce, {
  maxAttempts: 8,
  minTimeout: 100,
  maxTimeout: 10_000,
  jitter: 0,
});
console.log(`ended well at attempt ${attempt}`); // ended well at attempt 3
