import { fileURLToPath } from "node:url";
import { LARGE, report, sendToStopped } from "./slow.ts";

const [row = "", python = ""] = Deno.args;

const REVERSE = "for line in open(0): print(line.rstrip()[::-1])";

/** Run a program, give it these chunks, and return what it printed and how it ended. */
async function run(command: string, args: string[], ...chunks: string[]) {
  const process = new Deno.Command(command, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = process.stdin.getWriter();
  for (const chunk of chunks) {
    await writer.write(new TextEncoder().encode(chunk));
  }
  await writer.close();
  const { success, stdout } = await process.output();
  return { success, stdout: new TextDecoder().decode(stdout) };
}

const rows: Record<string, () => Promise<unknown>> = {
  // Two calls go in, and no two answers come out.
  calls: () => run("cat", [], "add(1, 2)", "add(3, 4)"),
  languages: () => run(python, ["-c", REVERSE], "taco cat\n"),
  sandbox() {
    const path = fileURLToPath(import.meta.resolve("../sandbox/thief.ts"));
    return run(Deno.execPath(), ["run", "--no-prompt", path]);
  },
  async crash() {
    const ends = [
      "throw new Error('The child fails')",
      "for (const all = [];;) all.push(new Array(10_000).fill(1.5))",
    ].map((code) =>
      run(Deno.execPath(), [
        "eval",
        "--v8-flags=--max-old-space-size=128",
        code,
      ])
    );
    return await Promise.all(ends);
  },
  // Two messages go in, and no two come out.
  bytes: () => run("cat", [], "taco", "cat"),
  output() {
    const code = "console.log('for people'); console.log('for the parent')";
    return run(Deno.execPath(), ["eval", code]);
  },
  async slow() {
    const process = new Deno.Command("wc", {
      args: ["-c"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = process.stdin.getWriter();
    const bytes = new TextEncoder().encode(LARGE);
    const meanwhile = await sendToStopped(
      process.pid,
      () => writer.write(bytes),
    );
    await writer.close();
    const { stdout } = await process.output();
    const received = Number(new TextDecoder().decode(stdout)) / bytes.length;
    return { meanwhile, received };
  },
};
report(await rows[row]?.());
