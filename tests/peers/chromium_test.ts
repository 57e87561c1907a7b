import { assert, assertEquals } from "@std/assert";
import { json } from "../../channel.ts";
import { delimiter } from "../../framing.ts";
import { spawn } from "../../pair.ts";
import { findChromium, missing } from "../programs.ts";

const chromium = await findChromium();

interface Command {
  id: number;
  method: string;
  params?: Record<string, unknown>;
  sessionId?: string;
}

interface Answer {
  id?: number; // none in an event
  result?: {
    targetId?: string;
    sessionId?: string;
    result?: { type: string; value?: number };
  };
}

Deno.test({
  name: "delimiter() of a zero byte has Chromium evaluate 1 + 1",
  ignore: chromium.ignore,
  async fn() {
    assert(chromium.command, missing);
    const directory = await Deno.makeTempDir();
    // Chromium reads commands from descriptor 3 and writes answers to descriptor 4
    await using child = await spawn("sh", {
      args: [
        "-c",
        'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2',
        chromium.command,
        "--headless=new",
        "--no-sandbox", // needed as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
        `--user-data-dir=${directory}`,
        "about:blank",
      ],
      transport: "stdio",
      framing: delimiter({ delimiter: "\0" }),
      serialization: json<Answer, Command>(),
      stderr: "piped",
      gracePeriod: 30_000,
    });
    const { channel } = child;
    const log = child.process.stderr.text();
    let last = 0;
    async function call(
      method: string,
      params?: Record<string, unknown>,
      sessionId?: string,
    ) {
      const id = ++last;
      await channel.send({
        id,
        method,
        ...(params && { params }),
        ...(sessionId && { sessionId }),
      });
      for await (const answer of channel) {
        if (answer.id === id) return answer.result;
      }
    }
    const created = await call("Target.createTarget", { url: "about:blank" });
    const attached = await call("Target.attachToTarget", {
      targetId: created?.targetId,
      flatten: true,
    });
    const expression = { expression: "1 + 1" };
    const evaluated = await call(
      "Runtime.evaluate",
      expression,
      attached?.sessionId,
    );
    assertEquals(evaluated?.result?.value, 2);
    await call("Browser.close");
    assertEquals((await child.close()).success, true);
    // Helper processes may write to the log until it ends
    await log;
    await Deno.remove(directory, { recursive: true });
  },
});
