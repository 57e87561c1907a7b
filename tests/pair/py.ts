const source = Deno.readTextFileSync(
  new URL("./children/child.py", import.meta.url),
);

/** The arguments with which Python runs `code`, with the functions of child.py at hand. */
export function py(code: string): string[] {
  return ["-S", "-E", "-c", source, code];
}
