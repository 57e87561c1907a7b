import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import {
  findGo,
  findNode,
  findPerl,
  findRust,
  missing,
  type Program,
} from "../programs.ts";
import { text } from "../../channel.ts";
import { spawn } from "../../pair.ts";
import { assertReverses } from "./reversing.ts";

const [node, perl, go, rust] = await Promise.all([
  findNode(),
  findPerl(),
  findGo(),
  findRust(),
]);

interface Child {
  language: string;
  program: Program;
  file: string;
  greeting: string;
  /** Arguments for the compiler. */
  compile?: (source: string, target: string) => string[];
}
const children: Child[] = [
  {
    language: "Node",
    program: node,
    file: "echo.mjs",
    greeting: "hello from node",
  },
  {
    language: "Perl",
    program: perl,
    file: "echo.pl",
    greeting: "hello from perl",
  },
  {
    language: "Go",
    program: go,
    file: "echo.go",
    greeting: "hello from go",
    compile: (source, target) => ["build", "-o", target, source],
  },
  {
    language: "Rust",
    program: rust,
    file: "echo.rs",
    greeting: "hello from rust",
    compile: (source, target) => ["-o", target, source],
  },
];

for (const { language, program, file, greeting, compile } of children) {
  Deno.test({
    name: `spawn() talks to the child in ${language} of docs/children.md`,
    ignore: program.ignore,
    async fn() {
      assert(program.command, missing);
      const url = new URL(`../../docs/children/${file}`, import.meta.url);
      const source = fileURLToPath(url);
      if (!compile) {
        await assertReverses(program.command, { args: [source] }, greeting);
        return;
      }
      const directory = await Deno.makeTempDir();
      const target = `${directory}/echo`;
      const { success } = await new Deno.Command(program.command, {
        args: compile(source, target),
      }).spawn().status;
      assert(success);
      await assertReverses(target, {}, greeting);
      await Deno.remove(directory, { recursive: true });
    },
  });
}

Deno.test({
  name:
    "spawn() receives messages that a child in Node sends after closeWrite()",
  ignore: node.ignore,
  async fn() {
    assert(node.command, missing);
    const url = new URL("../../docs/children/echo.mjs", import.meta.url);
    const atEnd = 'parent.on("end", () => parent.end());';
    const later =
      'parent.on("end", () => setImmediate(() => { send(Buffer.from("that was all")); parent.end(); }));';
    const code = (await Deno.readTextFile(url)).replace(atEnd, later);
    await using child = await spawn(node.command, {
      args: ["--input-type=module", "--eval", code],
      serialization: text(),
    });
    await child.channel.closeWrite();
    assertEquals(await Array.fromAsync(child.channel), [
      "hello from node",
      "that was all",
    ]);
  },
});
