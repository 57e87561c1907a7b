/** Prints the error of each function of `pair.ts` in a runtime that it does not support. */
import { connectToParent, socketPair, spawn, spawnModule } from "../../pair.ts";

const functions = [
  () => socketPair(),
  () => spawn("true"),
  () => spawnModule(import.meta.url),
  () => connectToParent(),
];
for (const start of functions) {
  try {
    await start();
    console.log("no error");
  } catch (error) {
    console.log(String(error));
  }
}
