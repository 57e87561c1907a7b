import { connectToParent, text } from "../../mod.ts";
import { flood } from "./flood.ts";

/** What the module does, by the first word of a message. */
const commands: Record<string, (argument: string) => unknown> = {
  arguments: () => Deno.args.join(),
  crash() {
    throw new Error("boom");
  },
  env: (name) => Deno.env.get(name),
  exit: (code) => Deno.exit(Number(code)),
  fetch: async (url) => await (await fetch(url)).text(),
  flood: async () =>
    console.log(
      await flood((length) => parent.send("x".repeat(length))),
      "sent",
    ),
  lines: () => "taco\ncat",
  pid: () => Deno.pid,
  read: (path) => Deno.readTextFileSync(path),
  reverse: (word) => word.split("").reverse().join(""),
  stop: () => new Promise(() => setInterval(() => {}, 1_000)),
  terminate() {
    Deno.addSignalListener("SIGTERM", async () => {
      await parent.send("cleaned up");
      await parent.flush();
      Deno.exit(4);
    });
    return "ready";
  },
  write: (path) => Deno.writeTextFileSync(path, ""),
};

const parent = await connectToParent({ serialization: text() });
console.log("connected");
for await (const message of parent) {
  const [, name = "", argument = ""] = /^(\w+) ?([^]*)$/.exec(message) ?? [];
  const run = commands[name];
  if (name === "crash") run?.(argument);
  try {
    await parent.send(String(await run?.(argument)));
  } catch (error) {
    await parent.send(error instanceof Error ? error.name : "not an error");
  }
}
await parent.send("end of input");
