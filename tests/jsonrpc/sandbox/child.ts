import { connectToParent, json } from "../../../mod.ts";
import { JsonRpc } from "../../../jsonrpc.ts";

export const methods = {
  add: (a: number, b: number) => a + b,
  sleep: () => new Promise<void>(() => {}),
  crash: (): never => Deno.exit(7),
};

new JsonRpc(await connectToParent({ serialization: json() }), { methods });
