/** A child that offers a function. */
import { JsonRpc } from "../../../../jsonrpc.ts";
import { connectToParent, json } from "../../../../mod.ts";

const methods = { add: (a: number, b: number) => a + b };
export type Methods = typeof methods;
new JsonRpc(await connectToParent({ serialization: json() }), { methods });
