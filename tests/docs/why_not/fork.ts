/** Start the same child by `fork()` and by execa, from a parent that may not read the secret. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { execaNode } from "execa";

const [secret = "", way] = Deno.args;
const path = fileURLToPath(import.meta.resolve("./forked.mjs"));
const bytes = new Uint8Array([1, 2, 3]);

function isReadable(): boolean {
  try {
    Deno.readTextFileSync(secret);
    return true;
  } catch {
    return false;
  }
}

async function byFork() {
  const child = fork(path, [secret]);
  child.send(bytes);
  const [answer] = await once(child, "message");
  child.disconnect();
  return answer;
}

async function byExeca() {
  const child = execaNode(path, [secret], { ipc: true });
  await child.sendMessage(bytes);
  const answer = await child.getOneMessage();
  child.kill();
  await child.catch(() => {});
  return answer;
}

const answer = way === "fork" ? await byFork() : await byExeca();
console.log(JSON.stringify({ parentReads: isReadable(), ...answer }));
