import { pathToFileURL } from "node:url";
import { serveRegistry } from "./registry.ts";

/** What `deno publish --dry-run` says. */
export interface Publishing {
  success: boolean;
  /** What it wrote to standard error. */
  report: string;
  /** The files that it would publish, by their paths from the root. */
  paths: string[];
}

/**
 * Try to publish a tree of these files, without uploading. `links` and what they lead to are left out, as `publish.yml`
 * does: they stand in for JSR where it cannot be reached, and would count as part of the package.
 */
export async function tryPublishing(
  root: URL,
  files: string[],
): Promise<Publishing> {
  await using registry = await serveRegistry();
  const directory = await Deno.realPath(await Deno.makeTempDir());
  const copy = pathToFileURL(`${directory}/`);
  try {
    for (const path of files) {
      const target = new URL(path, copy);
      await Deno.mkdir(new URL(".", target), { recursive: true });
      await Deno.copyFile(new URL(path, root), target);
    }
    const url = new URL("deno.json", copy);
    const { links: _, ...configuration } = JSON.parse(
      await Deno.readTextFile(url),
    );
    const { publish } = configuration;
    publish.include = publish.include.filter((path: string) =>
      path !== "tests/std"
    );
    await Deno.writeTextFile(url, JSON.stringify(configuration));
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["publish", "--dry-run", "--allow-dirty", "--no-lock"],
      cwd: directory,
      env: { NO_COLOR: "1", JSR_URL: registry.url },
      stdin: "null",
    }).output();
    const report = new TextDecoder().decode(stderr);
    const published = report.matchAll(/^ +(file:.*) \([\d.]+\w+\)$/gm);
    const paths = Array.from(
      published,
      ([, url = ""]) => url.slice(copy.href.length),
    );
    return { success, report, paths };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
