/** Closes the server for the second connection after some turns. */
import { listenForDescriptors } from "../../../descriptors/handshake.ts";

const directory = await Deno.makeTempDir();
const place = { directory, token: "0".repeat(64) };
const { server } = listenForDescriptors(place);
const conn = await Deno.connect({ transport: "unix", path: `${directory}/d` });
for (let turns = Number(Deno.args[0]); turns > 0; turns--) await null;
await server.close();
conn.close();
await Deno.remove(directory, { recursive: true });
