// Talks to cat over its standard input and output.
import { delimiter, spawn, text } from "../../../mod.ts";

await using child = await spawn("cat", {
  transport: "stdio",
  framing: delimiter(),
  serialization: text(),
});
await child.channel.send("taco cat");
console.log(await child.channel.receive());
