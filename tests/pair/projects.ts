import { dirname } from "node:path";
import { assert } from "@std/assert";

const PAIR = new URL("../../pair.ts", import.meta.url).href;
const CHANNEL = new URL("../../channel.ts", import.meta.url).href;

/** A module that sends, as text, what an expression gives. */
export function child(imports: string, expression: string): string {
  return `${imports}
import { connectToParent } from ${JSON.stringify(PAIR)};
import { text } from ${JSON.stringify(CHANNEL)};
await using channel = await connectToParent({ serialization: text() });
await channel.send(String(${expression}));
`;
}

/** A module that starts another and prints what that sends, and then what an expression gives. */
export function parent(
  specifier: string,
  { imports = "", expression = `""`, options = "", print = "console.log" } = {},
): string {
  return `${imports}
import { spawnModule } from ${JSON.stringify(PAIR)};
import { text } from ${JSON.stringify(CHANNEL)};
const serialization = text();
{
  await using child = await spawnModule(${specifier}, { serialization, ${options} });
  ${print}([await child.channel.receive(), ${expression}].join(" ").trim());
}
`;
}

/** A project in a directory of its own. */
export class Project implements AsyncDisposable {
  private constructor(readonly directory: string) {}

  static async make(files: Record<string, unknown>): Promise<Project> {
    const directory = await Deno.realPath(await Deno.makeTempDir());
    const project = new Project(directory);
    await project.write(files);
    return project;
  }

  /** Write files: text as it is, anything else as JSON. */
  async write(files: Record<string, unknown>): Promise<void> {
    for (const [name, contents] of Object.entries(files)) {
      const path = `${this.directory}/${name}`;
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(
        path,
        typeof contents === "string" ? contents : JSON.stringify(contents),
      );
    }
  }

  /** Run `deno` in the project, and give what it prints; it has to succeed. */
  async deno(...args: string[]): Promise<string> {
    const { success, stdout, stderr } = await this.try(args);
    assert(success, stderr);
    return stdout.trim();
  }

  /** Run `deno` in the project, or another program. */
  async try(
    args: string[],
    { cwd = this.directory, program = Deno.execPath(), env = {} } = {},
  ): Promise<{ success: boolean; stdout: string; stderr: string }> {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args,
      cwd,
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
    }).output();
    return {
      success,
      stdout: new TextDecoder().decode(stdout),
      stderr: new TextDecoder().decode(stderr),
    };
  }

  /** All its files, with what would show that one was written. */
  async files(directory: string = this.directory): Promise<string[]> {
    const found: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      const path = `${directory}/${name}`;
      const { size, mtime } = await Deno.lstat(path);
      found.push(`${path} ${size} ${mtime?.toISOString()}`);
      if (isDirectory) found.push(...await this.files(path));
    }
    return found.sort();
  }

  async [Symbol.asyncDispose]() {
    await Deno.remove(this.directory, { recursive: true });
  }
}
