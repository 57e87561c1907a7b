import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { LARGE, report, sendToStopped } from "./slow.ts";

const [row = "", , secret = ""] = Deno.args;

function pathOf(path: string): string {
  return fileURLToPath(import.meta.resolve(path));
}

/** Start the child, and wait until it is up. */
async function start(
  args: string[],
  serialization: "json" | "advanced" = "json",
): Promise<ChildProcess> {
  const child = fork(pathOf("../forked.mjs"), args, {
    serialization,
    stdio: ["ignore", "inherit", "ignore", "ipc"],
    env: {
      ...Deno.env.toObject(),
      DENO_V8_FLAGS: "--max-old-space-size=128",
    },
  });
  await once(child, "message");
  return child;
}

async function answerOf(
  message: string | Uint8Array<ArrayBuffer> | { add: unknown },
  ...of: Parameters<typeof start>
): Promise<unknown> {
  const child = await start(...of);
  child.send(message);
  const [answer] = await once(child, "message");
  child.disconnect();
  await once(child, "exit");
  return answer;
}

/** How a child ends at its first message, as its parent sees it. */
async function endOf(task: string) {
  const child = await start([task]);
  const events: string[] = [];
  for (const event of ["message", "error"]) {
    child.on(event, () => events.push(event));
  }
  child.send("begin");
  const [code, signal] = await once(child, "exit");
  events.push(code === 0 && signal === null ? "success" : "failure");
  return events;
}

const rows: Record<string, () => Promise<unknown>> = {
  // The function does not arrive.
  calls: () => answerOf({ add: () => {} }, ["function"]),
  async languages() {
    const child = fork(pathOf("../../../peers/echo.py"), [], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    const [code] = await once(child, "exit");
    return code;
  },
  async sandbox() {
    const { state } = await Deno.permissions.query({
      name: "read",
      path: secret,
    });
    return [state, await answerOf("begin", ["secret", secret])];
  },
  async crash() {
    return [await endOf("throw"), await endOf("exhaust")];
  },
  async bytes() {
    const bytes = new Uint8Array([1, 2, 3]);
    return [
      await answerOf(bytes, ["bytes"]),
      await answerOf(bytes, ["bytes"], "advanced"),
    ];
  },
  output: () => answerOf("begin", ["print"]),
  async slow() {
    const child = await start(["count"]);
    const promised = child.send(LARGE);
    const meanwhile = await sendToStopped(
      child.pid ?? 0,
      (message) =>
        new Promise((resolve) => child.send(message, () => resolve(null))),
    );
    child.send("how many");
    const [received] = await once(child, "message");
    child.disconnect();
    await once(child, "exit");
    return {
      promised: typeof promised,
      meanwhile,
      received: Number(received) - 1,
    };
  },
};
report(await rows[row]?.());
