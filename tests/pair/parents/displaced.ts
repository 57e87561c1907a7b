import { socketPair, spawn, spawnModule } from "../../../pair.ts";

// Prints how each one fails; in a current directory that is gone, if one is given
const [directory] = Deno.args;
if (directory !== undefined) {
  Deno.chdir(directory);
  Deno.removeSync(directory);
}

for (
  const start of [
    () => spawn("true"),
    () => spawnModule("echo.ts"),
    async () => {
      for (const socket of await socketPair()) socket.close();
    },
  ]
) {
  try {
    await start();
    console.log("none");
  } catch (error) {
    console.log(String(error));
  }
}
