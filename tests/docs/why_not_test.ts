/** Checks each cell of README's table "Why not ..." with a program in `why_not/ways`. */
import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertMatch,
} from "@std/assert";
import { findPython, missing, type Program } from "../programs.ts";
import { fileURLToPath } from "node:url";

const HERE = new URL("./why_not/", import.meta.url);
const SECRET = fileURLToPath(new URL("secret.txt", HERE));

const python = await findPython();

const COLUMNS = {
  ours: "socketpair",
  fork: "`fork()` of `node:child_process`",
  worker: "`Worker`",
  stdio: "stdio by hand",
  execa: "execa",
};

type Way = keyof typeof COLUMNS;

interface End {
  code: number;
  printed: string[];
}

/** Run a row of a column. Returns how its parent ended and what it printed, with a line of JSON at the end. */
async function end(way: Way, row: string): Promise<End> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--unstable-worker-options",
      "--v8-flags=--max-old-space-size=64",
      // No parent may read the secret, except that of a Worker, which can't have more permissions than its parent.
      ...way === "worker" ? [] : [`--deny-read=${SECRET}`],
      "--allow-read",
      "--allow-write",
      "--allow-run",
      "--allow-net",
      "--allow-env",
      "--allow-sys",
      fileURLToPath(new URL(`ways/${way}.ts`, HERE)),
      row,
      python.command ?? "",
      SECRET,
    ],
    env: { NO_COLOR: "1" },
    stderr: "null",
  }).output();
  const printed = new TextDecoder().decode(stdout).trimEnd().split("\n");
  return { code, printed };
}

async function resultOf(way: Way, row: string) {
  const { code, printed } = await end(way, row);
  assertEquals(code, 0, `${way} ${row}`);
  return JSON.parse(printed.at(-1) ?? "");
}

interface Cell {
  says: string;
  shows: () => Promise<void>;
}

/** Check the result of a row. */
function gives(row: string, way: Way, expected: unknown) {
  return async () => assertEquals(await resultOf(way, row), expected);
}

/** Check that most of the 64 messages wait while the child is stopped, and that all arrive later. */
function waits(way: Way, promised?: string) {
  return async () => {
    const { meanwhile, ...rest } = await resultOf(way, "slow");
    assertLessOrEqual(meanwhile, 32);
    assertEquals(rest, { received: 64, ...(promised && { promised }) });
  };
}

/** Check that the child's output and its message arrive separately. */
function isFree(way: Way) {
  return async () =>
    assertEquals((await end(way, "output")).printed, [
      "for people",
      '"for the parent"',
    ]);
}

const ANY_FILE = "no, its imports read any file";
const ALL_PERMISSIONS = "no, it has all permissions";

const ROWS: Record<string, Record<Way, Cell>> = {
  "Calls the child's functions": {
    ours: { says: "yes, typed", shows: gives("calls", "ours", 3) },
    fork: { says: "no, only messages", shows: gives("calls", "fork", false) },
    worker: {
      says: "no, only messages",
      shows: gives("calls", "worker", "DataCloneError"),
    },
    stdio: {
      says: "no, only bytes",
      shows: gives("calls", "stdio", {
        success: true,
        stdout: "add(1, 2)add(3, 4)",
      }),
    },
    execa: {
      says: "no, only messages",
      shows: gives("calls", "execa", "cannot be sent"),
    },
  },
  "Children in any language": {
    ours: {
      says: "yes",
      shows: gives("languages", "ours", ["hello from python", "tac ocat"]),
    },
    fork: {
      says: "no, only Node and Deno",
      shows: gives("languages", "fork", 1),
    },
    worker: {
      says: "no, only JavaScript",
      shows: gives("languages", "worker", "error"),
    },
    stdio: {
      says: "yes",
      shows: gives("languages", "stdio", {
        success: true,
        stdout: "tac ocat\n",
      }),
    },
    execa: {
      says: "messages only to Node, Deno",
      shows: gives("languages", "execa", ["tac ocat", "no message"]),
    },
  },
  "Keeps a child from your files": {
    ours: { says: "yes", shows: gives("sandbox", "ours", "ConnectError") },
    fork: {
      says: ALL_PERMISSIONS,
      shows: gives("sandbox", "fork", ["denied", "the secret\n"]),
    },
    worker: {
      says: ANY_FILE,
      shows: gives("sandbox", "worker", "the secret\n"),
    },
    stdio: {
      says: ANY_FILE,
      shows: gives("sandbox", "stdio", {
        success: true,
        stdout: "the secret\n\n",
      }),
    },
    execa: {
      says: ALL_PERMISSIONS,
      shows: gives("sandbox", "execa", ["denied", "the secret\n"]),
    },
  },
  "When the child crashes": {
    ours: {
      says: "you get an error",
      shows: gives("crash", "ours", ["ExitError", "ExitError"]),
    },
    fork: {
      says: "you get an event",
      shows: gives("crash", "fork", [["failure"], ["failure"]]),
    },
    worker: {
      says: "your process crashes too",
      async shows() {
        for (const row of ["throw", "exhaust"]) {
          const { code, printed } = await end("worker", row);
          assert(code !== 0, row);
          assertEquals(printed, [""]);
        }
        // An "error" listener catches only the uncaught error
        assertEquals(await resultOf("worker", "caught"), "error");
      },
    },
    stdio: {
      says: "you check its exit status",
      shows: gives("crash", "stdio", [
        { success: false, stdout: "" },
        { success: false, stdout: "" },
      ]),
    },
    execa: {
      says: "you get an error",
      shows: gives("crash", "execa", ["ExecaError", "ExecaError"]),
    },
  },
  "Slows down a fast sender": {
    ours: { says: "yes", shows: waits("ours") },
    fork: {
      says: "only if you use the callback",
      shows: waits("fork", "boolean"),
    },
    worker: {
      says: "no, messages pile up",
      shows: gives("slow", "worker", { promised: "undefined", received: 64 }),
    },
    stdio: { says: "yes", shows: waits("stdio") },
    execa: { says: "yes", shows: waits("execa") },
  },
  "Sends bytes as bytes": {
    ours: { says: "yes", shows: gives("bytes", "ours", true) },
    fork: {
      says: "only with an option",
      shows: gives("bytes", "fork", [
        { isBytes: false, isArray: true },
        { isBytes: true, isArray: false },
      ]),
    },
    worker: { says: "yes", shows: gives("bytes", "worker", true) },
    stdio: {
      says: "yes, but you split the messages",
      shows: gives("bytes", "stdio", { success: true, stdout: "tacocat" }),
    },
    execa: {
      says: "yes",
      shows: gives("bytes", "execa", { isBytes: true, isArray: false }),
    },
  },
  "Leaves standard output free": {
    ours: { says: "yes", shows: isFree("ours") },
    fork: { says: "yes", shows: isFree("fork") },
    worker: { says: "yes", shows: isFree("worker") },
    stdio: {
      says: "no",
      shows: gives("output", "stdio", {
        success: true,
        stdout: "for people\nfor the parent\n",
      }),
    },
    execa: { says: "yes", shows: isFree("execa") },
  },
};

/** The columns that need Python in the row about languages. */
const WITH_PYTHON: Way[] = ["ours", "stdio", "execa"];

function programOf(row: string, way: Way): Pick<Program, "ignore"> {
  const isNeeded = row === "Children in any language" &&
    WITH_PYTHON.includes(way);
  if (isNeeded && !python.ignore) assert(python.command, missing);
  return { ignore: isNeeded && python.ignore };
}

Deno.test("README's table has the rows and cells of this test", async () => {
  const readme = await Deno.readTextFile(
    new URL("../../README.md", import.meta.url),
  );
  const [, section = ""] = /## Why not[^\n]*\n([^]*?)\n## /.exec(readme) ?? [];
  const [heading, rule, ...rows] = section.split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  assertEquals(heading, ["", ...Object.values(COLUMNS)]);
  assertMatch(rule?.join("") ?? "", /^[- ]+$/);
  assertEquals(
    rows,
    Object.entries(ROWS).map(([row, cells]) => [
      row,
      ...Object.values(cells).map(({ says }) => says),
    ]),
  );
  assertEquals(rows.length, 7);
});

for (const [row, cells] of Object.entries(ROWS)) {
  for (const way of ["ours", "fork", "worker", "stdio", "execa"] as const) {
    const { says, shows } = cells[way];
    Deno.test({
      name: `README's table: ${row}: ${COLUMNS[way]}: ${says}`,
      ...programOf(row, way),
      fn: shows,
    });
  }
}
