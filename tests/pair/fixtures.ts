import { fileURLToPath } from "node:url";

export const modules = new URL("./children/modules/", import.meta.url);
export const parents = new URL("./parents/", import.meta.url);

/** Run a program of tests/pair/parents and give what it writes. */
export async function runParent(
  name: string,
  args: string[],
  { flags = ["-A"], env = {} }: {
    flags?: string[];
    env?: Record<string, string>;
  } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = fileURLToPath(new URL(name, parents));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...flags, program, ...args],
    env,
    stdin: "null",
  }).output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}
