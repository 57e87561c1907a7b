import {
  ConnectError,
  ExitError,
  json,
  spawn,
  spawnModule,
  structured,
  text,
} from "../../../../mod.ts";
import { JsonRpc } from "../../../../jsonrpc.ts";
import type { Methods } from "../sandbox/methods.ts";
import { report, sendToStopped } from "./slow.ts";

const [row = "", python = ""] = Deno.args;

function start(task: string) {
  return spawnModule(new URL("../sandbox/child.ts", import.meta.url), {
    args: [task],
    serialization: structured(),
    denoArgs: ["--v8-flags=--max-old-space-size=128"],
    stderr: "null",
  });
}

async function nameOfCrash(task: string) {
  await using child = await start(task);
  await child.channel.send("begin");
  try {
    return await child.channel.receive();
  } catch (error) {
    return error instanceof ExitError && error.name;
  }
}

const rows: Record<string, () => Promise<unknown>> = {
  async calls() {
    const url = new URL("../sandbox/methods.ts", import.meta.url);
    await using child = await spawnModule(url, { serialization: json() });
    return await new JsonRpc<Methods>(child.channel).remote.add(1, 2);
  },
  async languages() {
    await using child = await spawn(python, {
      args: [new URL("../../../peers/echo.py", import.meta.url).pathname],
      serialization: text(),
    });
    const hello = await child.channel.receive();
    await child.channel.send("taco cat");
    return [hello, await child.channel.receive()];
  },
  async sandbox() {
    const url = new URL("../sandbox/thief.ts", import.meta.url);
    try {
      await using _child = await spawnModule(url, { stderr: "null" });
    } catch (error) {
      return error instanceof ConnectError && error.name;
    }
  },
  async crash() {
    return [await nameOfCrash("throw"), await nameOfCrash("exhaust")];
  },
  async bytes() {
    await using child = await start("bytes");
    await child.channel.send(new Uint8Array([1, 2, 3]));
    return await child.channel.receive();
  },
  async output() {
    await using child = await start("print");
    await child.channel.send("begin");
    return await child.channel.receive();
  },
  async slow() {
    await using child = await start("count");
    const meanwhile = await sendToStopped(
      child.pid,
      (message) => child.channel.send(message),
    );
    await child.channel.send("how many");
    return { meanwhile, received: await child.channel.receive() };
  },
};
report(await rows[row]?.());
