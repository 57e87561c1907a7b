import { execa, ExecaError, execaNode } from "execa";
import { fileURLToPath } from "node:url";
import { report, sendToStopped } from "./slow.ts";

const [row = "", python = "", secret = ""] = Deno.args;

const REVERSE = "for line in open(0): print(line.rstrip()[::-1])";

/** Start the child, and wait until it is up. */
async function start(...args: string[]) {
  const child = execaNode(
    fileURLToPath(import.meta.resolve("../forked.mjs")),
    args,
    {
      ipc: true,
      stdio: ["ignore", "inherit", "ignore"],
      env: { DENO_V8_FLAGS: "--max-old-space-size=128" },
    },
  );
  await child.getOneMessage();
  return { child }; // the child alone would be awaited to its end
}

async function end({ child }: Awaited<ReturnType<typeof start>>) {
  child.kill();
  await child.catch(() => {});
}

async function answerOf(
  message: string | Uint8Array<ArrayBuffer>,
  ...args: string[]
) {
  const started = await start(...args);
  const { child } = started;
  const [answer] = await Promise.all([
    child.getOneMessage(),
    child.sendMessage(message),
  ]);
  await end(started);
  return answer;
}

async function nameOfCrash(task: string) {
  const { child } = await start(task);
  await child.sendMessage("begin");
  try {
    return (await child).exitCode;
  } catch (error) {
    return error instanceof ExecaError && error.name;
  }
}

const rows: Record<string, () => Promise<unknown>> = {
  async calls() {
    const started = await start("function");
    const sending = started.child.sendMessage({ add: () => {} });
    const outcome = await sending.then(() => "sent", () => "cannot be sent");
    await end(started);
    return outcome;
  },
  async languages() {
    const { stdout } = await execa(python, ["-c", REVERSE], {
      input: "taco cat\n",
    });
    const child = execa(python, ["-c", REVERSE], {
      ipc: true,
      input: "taco\n",
    });
    const message = child.getOneMessage().catch(() => "no message");
    await child;
    return [stdout, await message];
  },
  async sandbox() {
    const { state } = await Deno.permissions.query({
      name: "read",
      path: secret,
    });
    return [state, await answerOf("begin", "secret", secret)];
  },
  async crash() {
    return [await nameOfCrash("throw"), await nameOfCrash("exhaust")];
  },
  bytes: () => answerOf(new Uint8Array([1, 2, 3]), "bytes"),
  output: () => answerOf("begin", "print"),
  async slow() {
    const started = await start("count");
    const { child } = started;
    const meanwhile = await sendToStopped(
      child.pid ?? 0,
      (message) => child.sendMessage(message),
    );
    const [received] = await Promise.all([
      child.getOneMessage(),
      child.sendMessage("how many"),
    ]);
    await end(started);
    return { meanwhile, received };
  },
};
report(await rows[row]?.());
