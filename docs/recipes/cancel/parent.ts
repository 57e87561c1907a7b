import { spawnModule, text } from "@socketpair/socketpair";

const url = import.meta.resolve("./sandbox/child.ts");
const path = Deno.args[0] ?? "unfinished.txt";

const cancel = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  const reason = new Error(`Cancelled by ${signal}`);
  Deno.addSignalListener(signal, () => cancel.abort(reason));
}

await using child = await spawnModule(url, {
  args: [path],
  permissions: { write: [path] },
  serialization: text(),
  signal: cancel.signal, // SIGTERM to the child, and SIGKILL 5 seconds later
  detached: true, // Ctrl-C in a terminal goes to the parent only
});

try {
  for await (const message of child.channel) console.log(message);
} catch (error) {
  if (error !== cancel.signal.reason) throw error;
  console.log(cancel.signal.reason.message);
  Deno.exitCode = 1;
}
