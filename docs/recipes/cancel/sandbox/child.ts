import { connectToParent, text } from "@socketpair/socketpair";

const [path = ""] = Deno.args;
const parent = await connectToParent({ serialization: text() });

const cancelled = new Promise<void>((resolve) => {
  Deno.addSignalListener("SIGTERM", resolve); // needs no permission
  // The parent sends nothing: receiving ends when the parent does.
  parent.receive().catch(() => {}).then(() => resolve());
});

await Deno.writeTextFile(path, "half of the work");
await parent.send("working");
await cancelled; // a real child works here, and checks for it now and then
await Deno.remove(path);
// The parent may have been killed.
await parent.send("cleaned up").catch(() => {});
await parent.close().catch(() => {});
Deno.exit();
