import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import { isInheritable, withoutInherited } from "../../pair/inherited.ts";
import { python } from "./python.ts";

const parent = fileURLToPath(
  new URL("./parents/inheriting.ts", import.meta.url),
);

/** What cannot see its descriptors. */
const narrow = ["--allow-run", "--allow-net", "--allow-read", "--allow-write"];

/** Run a parent that was started with a pipe to read from, one to write to, and a socket that listens. */
async function run(
  flags: string[],
  args: string[] = [],
): Promise<[Record<string, string>, string]> {
  const code = `
import fcntl, json, os, socket, subprocess, sys
reader, source = os.pipe()
sink, writer = os.pipe()
os.write(source, b"secret")
server = socket.create_server(("127.0.0.1", 0))
high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in (reader, writer, server.fileno())]
for fd, number in zip(high, (3, 13, 14)):
    os.dup2(fd, number, inheritable=True)
process = subprocess.run(sys.argv[1:], close_fds=False, stdout=subprocess.PIPE)
for fd in (13, writer, high[1]):
    os.close(fd)
sys.stdout.write(json.dumps([json.loads(process.stdout), os.read(sink, 100).decode()]))
`;
  const { stdout, success } = await new Deno.Command(python, {
    args: [
      "-c",
      code,
      Deno.execPath(),
      "run",
      "--no-prompt",
      ...flags,
      parent,
      ...args,
    ],
  }).output();
  assert(success);
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test(
  "spawnModule() closes the descriptors that its parent was started with",
  {
    ignore: Deno.build.os !== "linux",
  },
  async () => {
    for (const flags of [["-A"], narrow]) {
      const [{ read, listen }, written] = await run(flags);
      assertNotEquals(read, "read secret");
      assertStringIncludes(listen ?? "", "refused");
      assertEquals(written, "");
    }

    const outcomes = {
      read: "read secret",
      write: "wrote",
      listen: "listened",
    };
    assertEquals(await run(["-A"], ["inherit"]), [outcomes, "written"]);
  },
);

Deno.test("withoutInherited() names the descriptors that cannot be closed", () => {
  const error = assertThrows(
    () => withoutInherited(["deno"], [3, 14], () => false),
    Deno.errors.NotSupported,
  );
  assertStringIncludes(error.message, " 3, 14, and there is no /bin/bash");
  assertEquals(withoutInherited(["deno"], [3, 14], () => true)[0], "/bin/bash");
  assertEquals(withoutInherited(["deno"], [], () => true), ["deno"]);
  // Where they cannot be seen there may be none
  assertEquals(withoutInherited(["deno"], null, () => false), ["deno"]);
});

Deno.test("isInheritable() reads what the kernel says of a descriptor", () => {
  const info = (flags: string) => `pos:\t0\nflags:\t${flags}\nmnt_id:\t15\n`;
  assertEquals(
    ["0100000", "01", "02100001", "02004002", "0", "02000000"]
      .map((flags) => isInheritable(info(flags))),
    [true, true, false, false, true, false],
  );
});
