import { connectToParent, text } from "@socketpair/socketpair";

const [path = ""] = Deno.args;
const parent = await connectToParent({ serialization: text() });

const cancelled = new Promise<void>((resolve) => {
  Deno.addSignalListener("SIGTERM", resolve); // needs no permission
});

await Deno.writeTextFile(path, "half of the work");
await parent.send("working");
await cancelled; // here it would work, and look at `cancelled` now and then
await Deno.remove(path);
await parent.send("cleaned up");
await parent.close();
Deno.exit();
