import { spawnWithDescriptors } from "../../../descriptors.ts";
import { socketPair, spawn, spawnModule } from "../../../pair.ts";

// Tries with no free descriptor, with one, and so on until it works, and prints each error
const [kind, directory = "", command = "", ...args] = Deno.args;
const open: Deno.FsFile[] = [];

async function attempt() {
  switch (kind) {
    case "socketPair": {
      for (const socket of await socketPair({ directory })) socket.close();
      break;
    }
    case "spawn": {
      await using _ = await spawn(command, { args, directory });
      break;
    }
    case "stdio": {
      await using _ = await spawn(command, { args, transport: "stdio" });
      break;
    }
    case "spawnModule": {
      await using _ = await spawnModule(command, { directory });
      break;
    }
    case "spawnWithDescriptors": {
      await using _ = await spawnWithDescriptors(command, { args, directory });
    }
  }
}

// Deno itself takes descriptors for signals half a second after its start, and panics without
Deno.addSignalListener("SIGUSR1", () => {});
try {
  while (true) open.push(Deno.openSync("/dev/null"));
} catch {
  // There are no more.
}
const outcomes: string[] = [];
while (outcomes.at(-1) !== "" && open.length > 0) {
  try {
    await attempt();
    outcomes.push("");
  } catch (error) {
    outcomes.push(String(error));
  }
  open.pop()?.close();
}
for (const file of open) file.close();
console.log(JSON.stringify(outcomes));
Deno.exit();
