import { spawn } from "../../../pair.ts";

// A parent with few permissions: says what spawn() and close() throw
const [detached, command = "", ...args] = Deno.args;
try {
  const child = await spawn(command, {
    args,
    detached: detached === "detached",
    gracePeriod: 100,
  });
  console.log("connected");
  const { signal } = await child.close();
  console.log(signal);
} catch (error) {
  if (!(error instanceof Error)) throw error;
  console.log(error.name);
}
