import { pathToFileURL } from "node:url";
import { serveRegistry } from "./registry.ts";

/** The outcome of `deno publish --dry-run`. */
export interface Publishing {
  success: boolean;
  /** Its standard error. */
  report: string;
  /** The files that it would publish, by their paths relative to the root. */
  paths: string[];
}

/**
 * Runs `deno publish` on a copy of these files, without uploading them. Like `publish.yml`, it leaves out `links` and
 * `tests/std`, which replace JSR where it can't be reached and would count as part of the package.
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
      // Types are checked by `deno check`, and again by `deno publish` in `.ci/run`
      args: [
        "publish",
        "--dry-run",
        "--allow-dirty",
        "--no-lock",
        "--no-check",
      ],
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
