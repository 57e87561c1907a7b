import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
} from "@std/assert";
import { modules, runParent } from "./fixtures.ts";
import { py, python } from "./python.ts";
import { test } from "./stage.ts";

const debug = { env: { SOCKETPAIR_DEBUG: "1" } };

/** The lines of one process, without its id. */
function linesOf(stderr: string, pid: string | undefined): string[] {
  const lines = stderr.split("\n");
  const prefix = `socketpair ${pid}: `;
  return lines.filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length));
}

for (
  const [kind, ...args] of [
    ["module", fileURLToPath(new URL("echo.ts", modules))],
    [
      "command",
      Deno.execPath(),
      "run",
      "-A",
      fileURLToPath(new URL("echo.ts", modules)),
    ],
  ]
) {
  test(`SOCKETPAIR_DEBUG=1 has both sides tell what happens to a ${kind}, never the token or a payload`, async () => {
    assert(kind);
    const { code, stderr } = await runParent(
      "traced.ts",
      [kind, ...args],
      debug,
    );
    assertEquals(code, 0);
    for (const line of stderr.trimEnd().split("\n")) {
      assertMatch(line, /^socketpair \d+: \S/);
    }
    const [, parent] = /socketpair (\d+): listening/.exec(stderr) ?? [];
    const [, child] = /socketpair (\d+): connected to parent/.exec(stderr) ??
      [];
    assertNotEquals(parent, child);
    const seen = linesOf(stderr, parent);
    const expected = [
      /^listening on \/.*\/s$/,
      new RegExp(`^child ${child} connected$`),
      /^sent frame of 8 bytes$/,
      /^received frame of 8 bytes$/,
      new RegExp(`^child ${child} exited: code 0$`),
    ];
    for (const line of expected) {
      assert(seen.some((it) => line.test(it)), `${line} in ${seen}`);
    }
    assert(seen.includes("closed"));
    assertEquals(linesOf(stderr, child), [
      "connected to parent",
      "received frame of 8 bytes",
      "sent frame of 8 bytes",
      "closed",
    ]);
    assert(!/[0-9a-f]{20}|taco|cat/.test(stderr));
  });
}

test("SOCKETPAIR_DEBUG=1 tells why strangers are dropped, and how a child exits that never connected", async () => {
  const args = py(`
stranger = dial()
stranger.sendall(bytes([token()[0] ^ 1]) + token()[1:])
stranger.recv(1)
dial().sendall(token()[:10])
sys.exit(3)
`);
  const { stdout, stderr } = await runParent(
    "traced.ts",
    ["command", python, ...args],
    debug,
  );
  assertEquals(stdout, "ConnectError\n");
  assertMatch(stderr, /: stranger: .*wrong\n/);
  assertMatch(stderr, /: stranger: .*10 bytes of 64\n/);
  assertMatch(stderr, /: child \d+ exited: code 3\n/);
  assert(!/[0-9a-f]{20}/.test(stderr));
});

test("SOCKETPAIR_DEBUG=1 tells of frames cut short, and shows no byte of them", async () => {
  const args = py(
    "connect(); receive(); parent.sendall(frame(b'taco cat')[:9])",
  );
  const { stdout, stderr } = await runParent(
    "traced.ts",
    ["command", python, ...args],
    debug,
  );
  assertEquals(stdout, "TruncatedFrameError\n");
  assertMatch(stderr, /failed: .*9/);
  assert(!/taco/.test(stderr));
});

test("SOCKETPAIR_DEBUG is off unless it is 1 and may be read", async () => {
  const args = ["command", python, ...py("connect(); echo()")];
  for (
    const [value, flags] of [
      ["0", ["-A"]],
      ["", ["-A"]],
      ["1", ["--allow-read", "--allow-write", "--allow-net", "--allow-run"]],
    ] as const
  ) {
    const { code, stdout, stderr } = await runParent("traced.ts", args, {
      flags: [...flags],
      env: { SOCKETPAIR_DEBUG: value },
    });
    assertEquals([code, stdout, stderr], [0, "", ""]);
  }
});
