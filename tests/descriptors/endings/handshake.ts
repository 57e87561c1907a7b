/** Closes the server for the second connection after some turns. */
import { listenForDescriptors } from "../../../descriptors/handshake.ts";
import { Libc } from "../../../descriptors/libc.ts";

using libc = Libc.use();
const directory = await Deno.makeTempDir();
const server = listenForDescriptors(libc, `${directory}/d`, "0".repeat(64));
const conn = await Deno.connect({ transport: "unix", path: `${directory}/d` });
for (let turns = Number(Deno.args[0]); turns > 0; turns--) await null;
await server.close();
conn.close();
await Deno.remove(directory, { recursive: true });
