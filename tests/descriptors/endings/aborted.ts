/** Aborts a wait after some turns and leaves the socket open, which must not keep the process alive. */
import { DescriptorSocket } from "../../../descriptors.ts";
import { socketPair } from "../libc.ts";

const [, right] = socketPair();
const controller = new AbortController();
const { signal } = controller;
const received = new DescriptorSocket(right).receive({ signal });
for (let turns = Number(Deno.args[0]); turns > 0; turns--) await null;
controller.abort();
await received.catch(() => {});
