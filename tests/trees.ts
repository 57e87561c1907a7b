import { pathToFileURL } from "node:url";

/** Creates a small source tree and finds violations in it. */
export async function findIn(
  find: (root: URL) => Promise<string[]>,
  files: Record<string, string>,
): Promise<string[]> {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  const root = pathToFileURL(`${directory}/`);
  try {
    for (const [path, text] of Object.entries(files)) {
      const url = new URL(path, root);
      await Deno.mkdir(new URL(".", url), { recursive: true });
      await Deno.writeTextFile(url, text);
    }
    return await find(root);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
