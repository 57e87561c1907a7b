import { json, spawnModule } from "@socketpair/socketpair";
import { JsonRpc } from "@socketpair/socketpair/jsonrpc";
import type { methods } from "./sandbox/child.ts";

const url = new URL("./sandbox/child.ts", import.meta.url);
await using child = await spawnModule(url, { serialization: json() });
const { remote } = new JsonRpc<typeof methods>(child.channel);
console.log(await remote.add(1, 2)); // 3
