import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { text } from "../../channel.ts";
import { ExitError, spawn } from "../../pair.ts";
import { findSshd, missing } from "../programs.ts";
import { startSshd } from "./sshd.ts";

const sshd = await findSshd();

const remoteCommand = [
  Deno.execPath(),
  "run",
  "--no-prompt",
  fileURLToPath(new URL("./stdio_child.ts", import.meta.url)),
];

const options = { transport: "stdio", serialization: text() } as const;

Deno.test({
  name:
    "spawn() over stdio talks to a child through sshd until both sides have closed",
  ignore: sshd.ignore,
  async fn() {
    assert(sshd.command, missing);
    await using server = await startSshd(sshd.command);
    await using child = await spawn("ssh", {
      args: [...server.args, ...remoteCommand],
      ...options,
      stderr: "piped",
    });
    const { channel } = child;
    const log = new Response(child.process.stderr).text();
    const long = "taco\n\u{1F32E}\0".repeat(100_000);
    for (const message of ["taco cat", "", long]) {
      await channel.send(message);
      assertEquals(
        await channel.receive(),
        [...message].reverse().join(""),
      );
    }
    await channel.closeWrite();
    assertEquals(await Array.fromAsync(channel), ["that was all"]);
    assertEquals((await child.close()).code, 0);
    assertEquals(await log, "this goes to standard error\n");
  },
});

Deno.test({
  name: "spawn() over stdio reports the exit status of a child behind sshd",
  ignore: sshd.ignore,
  async fn() {
    assert(sshd.command, missing);
    await using server = await startSshd(sshd.command);
    await using child = await spawn("ssh", {
      args: [...server.args, ...remoteCommand],
      ...options,
      stderr: "null",
    });
    await child.channel.send("taco cat");
    await child.channel.send("crash");
    assertEquals(await child.channel.receive(), "tac ocat");
    const error = await assertRejects(
      () => child.channel.receive(),
      ExitError,
    );
    assertEquals(error.status.code, 3);
  },
});

Deno.test({
  name:
    "spawn() over stdio talks to a child through sshd whose standard output has other writers",
  ignore: sshd.ignore,
  async fn() {
    assert(sshd.command, missing);
    await using server = await startSshd(sshd.command);
    const module = fileURLToPath(
      new URL("./guarded_child.ts", import.meta.url),
    );
    const command =
      `'${Deno.execPath()}' run -A '${module}' 3<&0 4>&1 </dev/null >&2`;
    await using child = await spawn("ssh", {
      args: [...server.args, command],
      ...options,
      stderr: "piped",
    });
    const log = new Response(child.process.stderr).text();
    await child.channel.send("taco cat");
    assertEquals(await child.channel.receive(), "TACO CAT");
    assertEquals((await child.close()).code, 0);
    assertEquals(
      await log,
      "by a program\nby a captured stream\nby console\n",
    );
  },
});
