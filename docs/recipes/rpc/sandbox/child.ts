import { connectToParent, json } from "@socketpair/socketpair";
import { JsonRpc } from "@socketpair/socketpair/jsonrpc";

export const methods = { add: (a: number, b: number) => a + b };
new JsonRpc(await connectToParent({ serialization: json() }), { methods });
