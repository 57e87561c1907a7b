import { socketPair, spawn, spawnModule } from "../../../pair.ts";

// Prints how each one fails; in a current directory that is gone, if one is given
const [directory] = Deno.args;
if (directory !== undefined) {
  Deno.chdir(directory);
  Deno.removeSync(directory);
}

const module = directory === undefined
  ? new URL("../children/modules/echo.ts", import.meta.url)
  : "echo.ts";
for (
  const start of [
    () => spawn("true"),
    async () => {
      const child = await spawnModule(module);
      await child.close();
    },
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
