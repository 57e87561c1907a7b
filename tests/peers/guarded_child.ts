// Uses descriptors 3 and 4 for its channel while others write to standard output.
import { connectToParent, text } from "../../mod.ts";

const captured = Deno.stdout.writable;
const parent = await connectToParent({
  transport: "stdio",
  descriptors: [3, 4],
  serialization: text(),
});
await new Deno.Command("echo", { args: ["by a program"] }).spawn().status;
const writer = captured.getWriter();
await writer.write(new TextEncoder().encode("by a captured stream\n"));
console.log("by console");
for await (const message of parent) await parent.send(message.toUpperCase());
await parent.close();
