import { json } from "../../../../channel.ts";
import { connectToParent } from "../../../../pair.ts";

const options = { serialization: json<unknown>() };
const parent = await connectToParent(options);
const second = await connectToParent(options).catch(String);
const { stdout } = await new Deno.Command("env").output();
await parent.send(second);
await parent.send(new TextDecoder().decode(stdout).match(/^SOCKETPAIR_.*/gm));
await parent.close();
