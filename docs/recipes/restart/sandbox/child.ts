import { connectToParent, json } from "@socketpair/socketpair";

const attempt = Number(Deno.args[0]);
if (attempt === 1) throw new Error("cannot start");

const parent = await connectToParent({ serialization: json<string>() });
await parent.send(`attempt ${attempt} is up`);
await parent.flush();
if (attempt === 2) throw new Error("crashed");
await parent.close();
