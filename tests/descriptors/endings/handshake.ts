/** Aborts the wait for the second connection after some turns. */
import { DescriptorHandshake } from "../../../descriptors/handshake.ts";
import { Libc } from "../../../descriptors/libc.ts";

using libc = Libc.use();
const directory = await Deno.makeTempDir();
const place = { directory, token: "0".repeat(64) };
const { connected, close } = new DescriptorHandshake(libc).open(place);
const controller = new AbortController();
const connection = connected(controller.signal);
for (let turns = Number(Deno.args[0]); turns > 0; turns--) await null;
controller.abort();
await connection.catch(() => {});
await close();
await Deno.remove(directory, { recursive: true });
