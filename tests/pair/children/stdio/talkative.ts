// Does all that writes to standard output, between two messages.
import nodeConsole from "node:console";
import nodeProcess from "node:process";
import { connectToParent, text } from "../../../../mod.ts";

const captured = [Deno.stdout, process.stdout] as const;
const parent = await connectToParent({
  transport: "stdio",
  serialization: text(),
});
await parent.send("first");
await parent.flush();
const said: string[] = [];
/** A word that the test looks for in the output. */
function say(word: string): string {
  said.push(word);
  return `${word}\n`;
}
const bytes = (word: string) => new TextEncoder().encode(say(word));

for (
  const name of [
    "log",
    "info",
    "debug",
    "warn",
    "error",
    "dir",
    "dirxml",
    "count",
    "trace",
    "group",
    "groupCollapsed",
  ] as const
) {
  console[name](say(`console.${name}`));
  nodeConsole[name](say(`nodeConsole.${name}`));
}
console.groupEnd();
console.table([{ cell: say("table").trim() }]);
console.assert(false, say("assert"));
const timer = say("timer").trim();
console.time(timer);
console.timeLog(timer, say("timeLog"));
console.timeEnd(timer);
console.countReset("console.count\n");
console.timeStamp("never said");
console.clear();
nodeConsole.table([{ cell: say("nodeTable").trim() }]);
await Deno.stdout.write(bytes("Deno.stdout.write"));
Deno.stdout.writeSync(bytes("Deno.stdout.writeSync"));
const writer = Deno.stdout.writable.getWriter();
await writer.write(bytes("Deno.stdout.writable"));
writer.releaseLock();
captured[0].writeSync(bytes("captured Deno.stdout"));
process.stdout.write(say("process.stdout"));
captured[1].write(say("captured process.stdout"));
nodeProcess.stdout.write(say("nodeProcess.stdout"));

await parent.send(JSON.stringify(said));
await parent.close();
