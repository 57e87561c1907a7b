// Answers each message reversed, over standard input and output. Exits with code 3 at the message "crash".
import { connectToParent, text } from "../../mod.ts";

const parent = await connectToParent({
  transport: "stdio",
  serialization: text(),
});
console.log("this goes to standard error");
for await (const message of parent) {
  if (message === "crash") {
    await parent.flush();
    Deno.exit(3);
  }
  await parent.send([...message].reverse().join(""));
}
await parent.send("that was all");
await parent.close();
