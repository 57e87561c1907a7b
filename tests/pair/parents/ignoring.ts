// A parent in which SIGCHLD is ignored, so that the system does not tell how a child ends.
import { assert, assertEquals } from "@std/assert";
import { text } from "../../../channel.ts";
import { spawnWithDescriptors } from "../../../descriptors.ts";
import { ConnectError, spawn, spawnModule } from "../../../pair.ts";
import { modules } from "../fixtures.ts";
import { py } from "../py.ts";

const [transport, what, python = ""] = Deno.args;
if (Deno.build.os === "linux") {
  const status = Deno.readTextFileSync("/proc/self/status");
  const [, ignored = ""] = /^SigIgn:\s*(\w+)$/m.exec(status) ?? [];
  const SIGCHLD = 17;
  assert(BigInt(`0x${ignored}`) & (1n << BigInt(SIGCHLD - 1)));
}
assert(transport === "unix" || transport === "tcp" || transport === "stdio");
const controller = new AbortController();
const options = {
  transport,
  serialization: text(),
  signal: controller.signal,
  stderr: "piped",
} as const;

/** What Deno says, or that the system did tell. */
async function fate(promise: Promise<unknown>) {
  try {
    await promise;
  } catch (error) {
    assert(error instanceof Error);
    assertEquals(error.message, "No child processes (os error 10)");
  }
}

switch (what) {
  case "exchange": {
    const child = await spawn(python, {
      args: py("connect(); echo()"),
      ...options,
    });
    await child.channel.send("taco cat");
    assertEquals(await child.channel.receive(), "taco cat");
    await fate(child.close());
    await fate(child.status);
    await child.channel.closed;
    break;
  }
  case "module": {
    await using child = await spawnModule(new URL("echo.ts", modules), {
      transport,
      serialization: text(),
    });
    await child.channel.send("taco cat");
    assertEquals(await child.channel.receive(), "taco cat");
    break;
  }
  case "descriptors": {
    const { child, descriptors } = await spawnWithDescriptors(python, {
      args: py(`
connect()
descriptors = socket.socket(socket.AF_UNIX)
descriptors.connect(os.environ["SOCKETPAIR_DESCRIPTORS_PATH"])
descriptors.sendall(token())
echo()
`),
      serialization: text(),
    });
    await child.channel.send("taco cat");
    assertEquals(await child.channel.receive(), "taco cat");
    await descriptors.close();
    await fate(child.close());
    break;
  }
  case "crash": {
    await using child = await spawn(python, {
      args: py("connect(); send(b'last words'); sys.exit(1)"),
      ...options,
    });
    assertEquals(await child.channel.receive(), "last words");
    // How it ended is not known, but that it did
    await child.channel.receive().catch(() => {});
    break;
  }
  case "nothing": {
    const error = await spawn("true", options).catch((error) => error);
    if (transport !== "stdio") assert(error instanceof ConnectError);
    else await fate(error.close());
    break;
  }
  case "signal": {
    const child = await spawn(python, {
      args: py("connect(); send(b'here'); receive()"),
      ...options,
    });
    assertEquals(await child.channel.receive(), "here");
    controller.abort();
    assertEquals(
      await child.channel.receive().catch((error) => error.name),
      "AbortError",
    );
    // Nobody waits for it
    void child.close();
    break;
  }
}
await new Promise((resolve) => setTimeout(resolve));
console.log("end");
