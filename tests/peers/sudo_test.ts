import { assert, assertEquals } from "@std/assert";
import { text } from "../../channel.ts";
import { delimiter } from "../../framing.ts";
import { spawn } from "../../pair.ts";
import { findPython, findSudo, missing } from "../programs.ts";
import { assertReverses } from "./reversing.ts";

const [sudo, python] = await Promise.all([findSudo(), findPython()]);
const user = "--user=nobody";

/** The README's child in Python, over TCP. */
async function readTcpChild(): Promise<string> {
  const url = new URL("./echo.py", import.meta.url);
  return (await Deno.readTextFile(url))
    .replace("AF_UNIX", "AF_INET")
    .replace(
      'os.environ.pop("SOCKETPAIR_PATH")',
      '("127.0.0.1", int(os.environ.pop("SOCKETPAIR_PORT")))',
    );
}

Deno.test({
  name:
    "spawn() over TCP talks to a child behind sudo that keeps the variables",
  ignore: sudo.ignore || python.ignore,
  async fn() {
    assert(sudo.command && python.command, missing);
    const variables = "--preserve-env=SOCKETPAIR_PORT,SOCKETPAIR_TOKEN";
    const args = [user, variables, python.command, "-c", await readTcpChild()];
    await assertReverses(
      sudo.command,
      { args, transport: "tcp" },
      "hello from python",
    );
  },
});

Deno.test({
  name: "spawn() over stdio talks to a program behind sudo",
  ignore: sudo.ignore,
  async fn() {
    assert(sudo.command, missing);
    await using child = await spawn(sudo.command, {
      args: [user, "sh", "-c", "id -un; exec cat"],
      transport: "stdio",
      framing: delimiter(),
      serialization: text(),
    });
    assertEquals(await child.channel.receive(), "nobody");
    await child.channel.send("taco cat");
    assertEquals(await child.channel.receive(), "taco cat");
    assertEquals((await child.close()).code, 0);
  },
});
