// Says something, and dies of an error that nobody catches while it waits for more.
import { connectToParent, text } from "../../../../mod.ts";

const parent = await connectToParent({ serialization: text() });
await parent.send("last words");
await parent.flush();
const answer = parent.receive();
await Promise.race([answer, Promise.reject(new Error("An error"))]);
