import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ChildWithDescriptors,
  closeDescriptor,
  connectDescriptorsToParent,
  spawnWithDescriptors,
  type SpawnWithDescriptorsOptions,
} from "../../descriptors.ts";
import { ConnectError } from "../../pair.ts";
import { take } from "./files.ts";
import { assertNoLeak } from "../leaks.ts";
import { openCount } from "./libc.ts";
import { denoPeer, ignore, missing, python, testPeer } from "./peers.ts";

/** The start of each child in Python. */
const connecting = `
import os, socket

def connect(variable):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ[variable])
    return connection

def send_token(connection):
    connection.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
    return connection
`;

/** Test `spawnWithDescriptors()` with a child that runs `connecting` and `program`. */
function testSpawn(
  name: string,
  program: string,
  fn: (
    spawn: (
      options?: SpawnWithDescriptorsOptions,
    ) => Promise<ChildWithDescriptors<Uint8Array>>,
  ) => Promise<void>,
) {
  Deno.test({
    name: `spawnWithDescriptors() ${name}`,
    ignore: ignore || python.ignore,
    async fn() {
      assert(python.command, missing);
      const { command } = python;
      const directory = await Deno.makeTempDir();
      const args = ["-S", "-c", connecting + program];
      // Files that Deno loads on first use stay open.
      const first = await spawnWithDescriptors(command, {
        args: ["-S", "-c", `${connecting}${both}channel.recv(1)`],
      });
      await first[Symbol.asyncDispose]();

      const before = openCount();
      await fn((options) =>
        spawnWithDescriptors(command, { args, directory, ...options })
      );
      await assertNoLeak(before, openCount);
      // Fails unless it is empty
      await Deno.remove(directory);
    },
  });
}

const both = `
channel = send_token(connect("SOCKETPAIR_PATH"))
descriptors = send_token(connect("SOCKETPAIR_DESCRIPTORS_PATH"))
`;

testSpawn(
  "accepts a child that exits immediately",
  `${both}
socket.send_fds(descriptors, [b"."], [0])
os._exit(0)
`,
  async (spawn) => {
    for (let count = 0; count < 10; count++) {
      await using started = await spawn();
      closeDescriptor(await take(started.descriptors));
    }
  },
);

testSpawn(
  "accepts only the connection that sends the token",
  `
path = "SOCKETPAIR_DESCRIPTORS_PATH"
silent = [connect(path) for _ in range(70)]
wrong = [connect(path) for _ in range(5)]
for connection in wrong:
    socket.send_fds(connection, [b"x" * 64], [0, 1])
connect(path).close()
silent.pop(0).recv(1) # too many are waiting
slow = connect(path)
slow.sendall(os.environ["SOCKETPAIR_TOKEN"][:20].encode())
channel = send_token(connect("SOCKETPAIR_PATH"))
slow.sendall(os.environ["SOCKETPAIR_TOKEN"][20:].encode())
socket.send_fds(slow, [b"."], [0])
dropped = [connection.recv(1) for connection in silent + wrong]
`,
  async (spawn) => {
    await using started = await spawn();
    const { child, descriptors } = started;
    closeDescriptor(await take(descriptors));
    assertEquals(await descriptors.receive(), null);
    assertEquals((await child.status).success, true);
  },
);

testSpawn(
  "rejects if the child exits before it has connected to both sockets",
  `
send_token(connect("SOCKETPAIR_PATH"))
connect("SOCKETPAIR_DESCRIPTORS_PATH")
os._exit(3)
`,
  async (spawn) => {
    const error = await assertRejects(() => spawn(), ConnectError);
    assertEquals(error.status?.code, 3);
  },
);

testSpawn(
  "rejects if the child connects only to the second socket",
  `
descriptors = send_token(connect("SOCKETPAIR_DESCRIPTORS_PATH"))
descriptors.recv(1)
`,
  async (spawn) => {
    await assertRejects(() => spawn({ connectTimeout: 300 }), ConnectError);
  },
);

testSpawn(
  "rejects if the child connects only to the first socket",
  `
channel = send_token(connect("SOCKETPAIR_PATH"))
descriptors = connect("SOCKETPAIR_DESCRIPTORS_PATH")
channel.recv(1)
`,
  async (spawn) => {
    await assertRejects(() => spawn({ connectTimeout: 300 }), ConnectError);
    const reason = new Error("no longer wanted");
    const controller = new AbortController();
    const started = spawn({ signal: controller.signal });
    controller.abort(reason);
    assertEquals(await assertRejects(() => started), reason);
  },
);

testSpawn("rejects if the child cannot be started", "", async (spawn) => {
  await assertRejects(() => spawn({ cwd: "/nowhere" }), Deno.errors.NotFound);
});

Deno.test({
  name:
    "spawnWithDescriptors() gives the child's user the socket, but not the directory",
  ignore: ignore || Deno.uid() !== 0 || !python.command,
  async fn() {
    const nobody = 65534;
    assert(python.command, missing);
    const { child, descriptors } = await spawnWithDescriptors(
      python.command,
      {
        args: [
          "-S",
          "-c",
          `${connecting}
path = os.environ["SOCKETPAIR_DESCRIPTORS_PATH"]
found = [(s.st_uid, s.st_mode & 0o777) for s in [os.stat(os.path.dirname(path)), os.stat(path)]]
${both}os._exit(os.getuid() == 65534 and found == [(0, 0o711), (65534, 0o600)])`,
        ],
        // The user may have no access to the checkout
        cwd: "/",
        uid: nobody,
        gid: nobody,
      },
    );
    assertEquals(await descriptors.receive(), null);
    await descriptors.close();
    assertEquals((await child.close()).code, 1);
  },
});

testPeer(
  denoPeer,
  "connectDescriptorsToParent() deletes the environment variables",
  async ({ child }) => {
    await child.channel.send("environment");
    assertEquals(await child.channel.receive(), "");
    assertEquals(
      await child.channel.receive(),
      "Error: Cannot connect to parent: SOCKETPAIR_DESCRIPTORS_PATH and SOCKETPAIR_TOKEN are not set: call this once, in a child of spawnWithDescriptors()",
    );
  },
);

Deno.test("connectDescriptorsToParent() rejects if the process is not a child", async () => {
  await assertRejects(
    () => connectDescriptorsToParent(),
    Error,
    "Cannot connect to parent: SOCKETPAIR_DESCRIPTORS_PATH and SOCKETPAIR_TOKEN are not set",
  );
});
