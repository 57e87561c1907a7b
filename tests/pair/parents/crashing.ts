// Starts a module, and prints what its end says
import { ConnectError, ExitError, spawnModule } from "../../../pair.ts";

const [specifier = ""] = Deno.args;
try {
  await using child = await spawnModule(specifier);
  await Array.fromAsync(child.channel);
} catch (error) {
  if (!(error instanceof ExitError || error instanceof ConnectError)) {
    throw error;
  }
  console.log(JSON.stringify([error.name, error.message, error.stderr]));
}
