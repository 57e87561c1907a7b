import { assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import {
  fixtures,
  hear,
  refusal,
  secret,
  secretPath,
  sender,
  temporaryDirectory,
  writeModule,
} from "./sandbox.ts";
import { findOnLinux } from "../programs.ts";
import { isRoot } from "./stage.ts";

const starter = sender("", `"started"`);

/** Make a module's directory with links in it. */
async function writeLinks(
  directory: string,
  links: Record<string, string>,
  code = starter,
): Promise<URL> {
  const child = await writeModule(directory, { "child.ts": code });
  for (const [path, target] of Object.entries(links)) {
    const link = `${directory}/${path}`;
    await Deno.mkdir(link.slice(0, link.lastIndexOf("/")), { recursive: true });
    await Deno.symlink(target, link);
  }
  return child;
}

/** A module that imports what Deno cannot know before it runs. */
function importer(path: string, type?: string): string {
  const attributes = type === undefined
    ? ""
    : `, { with: { type: "${type}" } }`;
  return sender(
    "",
    `await (async (url) => {
      const { default: value, secret } = await import(url${attributes});
      return typeof value === "string" ? value : JSON.stringify(value ?? secret);
    })("file://" + ${path})`,
  );
}

/** Each reads a file through a link that leads inside: Deno checks the text, the kernel walks. */
const throughLinks: Record<string, string> = {
  "text": importer(`LINK + "secret.txt"`, "text"),
  "text, in lower case": importer(
    `LINK.replaceAll("%2F", "%2f") + "secret.txt"`,
    "text",
  ),
  "JSON": importer(`LINK + "secret.json"`, "json"),
  "code": importer(`LINK + "secret.ts"`),
  "a worker": sender(
    "",
    `await new Promise((resolve, reject) => {
      const worker = new Worker("file://" + LINK + "worker.js", { type: "module" });
      worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
      worker.onerror = (event) => { event.preventDefault(); reject(event.message); };
    })`,
  ),
};

for (const [name, code] of Object.entries(throughLinks)) {
  Deno.test(`spawnModule() refuses to read outside through a link that leads up: ${name}`, async () => {
    await using root = await temporaryDirectory();
    const directory = `${root.path}/deep/er/module`;
    await Deno.mkdir(`${root.path}/secret`);
    for (const entry of Deno.readDirSync(new URL("./secret", fixtures))) {
      await Deno.copyFile(
        new URL(`./secret/${entry.name}`, fixtures),
        `${root.path}/secret/${entry.name}`,
      );
    }
    const link = `${directory}/a/b/c/d/l%2F..%2F..%2F..%2Fsecret%2F`;
    const child = await writeLinks(
      directory,
      { "a/b/c/d/l": "../../../.." },
      code.replaceAll("LINK", JSON.stringify(link)),
    );

    assertStringIncludes(
      await refusal(child),
      `Cannot start module: the symbolic link ${directory}/a/b/c/d/l leads`,
    );

    const [message = ""] = await hear(child, { permissions: "inherit" });
    assertEquals(message.startsWith("refused"), false, message);
  });
}

Deno.test("spawnModule() refuses a directory with a link that leads out, up or to a less deep place", async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/module`;
  const links = {
    "file": secretPath,
    "directory": fileURLToPath(new URL("./secret", fixtures)),
    "environment": "/proc/self/environ",
    "absolute": `${root.path}/later`,
    "sibling": "../module2/file",
    "root": "/",
    "self": ".",
    "myself": directory,
    "out and in again": "../module/child.ts",
    "deep/parent": "..",
    "deep/file": "../child.ts",
    "deep/detour": "../a/../child.ts",
    "deep/er/up": "../a",
    "deep/er/out and in": "../../../module/a/b/c",
    "dangling": "../later",
    "deep/dangling": "../later",
    "by the working directory": "/proc/self/cwd/a/b",
    "neighbour": `${directory}2/a/b`,
  };
  await Deno.mkdir(`${directory}/a/b/c`, { recursive: true });

  for (const [path, target] of Object.entries(links)) {
    const child = await writeLinks(directory, { [path]: target });
    assertStringIncludes(
      await refusal(child),
      `Cannot start module: the symbolic link ${directory}/${path} leads`,
      path,
    );
    await Deno.remove(`${directory}/${path}`);
  }
  assertEquals(await hear(`${directory}/child.ts`), ["started"]);
});

Deno.test("spawnModule() runs a child with links inside of its directory", async () => {
  await using root = await temporaryDirectory();
  await writeModule(`${root.path}/child`, {
    "child.ts": sender(
      "",
      `Deno.readTextFileSync(import.meta.dirname + "/link")`,
    ),
    "file.txt": "linked",
  });
  await Deno.symlink("file.txt", `${root.path}/child/link`);
  await Deno.symlink(`${root.path}/child/file.txt`, `${root.path}/child/abs`);
  // It leads nowhere, and in a circle
  await Deno.symlink("me@host.1:2", `${root.path}/child/.#child.ts`);
  await Deno.symlink("circle", `${root.path}/child/circle`);
  // The directory itself may be reached by a link.
  await Deno.symlink(`${root.path}/child`, `${root.path}/alias`);

  for (const name of ["child", "alias"]) {
    const directory = `${root.path}/${name}`;
    const permissions = { read: [directory] };
    assertEquals(await hear(`${directory}/child.ts`, { permissions }), [
      "linked",
    ]);
  }
});

/** The links that package managers make: each was looked up in what the real one had made. */
const layouts: Record<string, Record<string, string>> = {
  Deno: {
    "node_modules/fast-check": ".deno/fast-check@4.3.0/node_modules/fast-check",
    "node_modules/@types/node":
      "../.deno/@types+node@24.2.0/node_modules/@types/node",
    "node_modules/.deno/node_modules/pure-rand":
      "../pure-rand@7.0.1/node_modules/pure-rand",
    "node_modules/.deno/fast-check@4.3.0/node_modules/pure-rand":
      "../../pure-rand@7.0.1/node_modules/pure-rand",
    "node_modules/.bin/semver": "../semver/bin/semver.js",
  },
  npm: {
    "node_modules/.bin/semver": "../semver/bin/semver.js",
    "node_modules/.bin/tsc": "../@scope/typescript/bin/tsc",
    "node_modules/a/node_modules/.bin/b": "../b/cli.js",
    "node_modules/workspace": "../packages/workspace",
  },
  pnpm: {
    "node_modules/semver": ".pnpm/semver@7.7.3/node_modules/semver",
    "node_modules/@types/node":
      "../.pnpm/@types+node@24.2.0/node_modules/@types/node",
    "node_modules/.pnpm/node_modules/pure-rand":
      "../pure-rand@7.0.1/node_modules/pure-rand",
    "node_modules/.pnpm/node_modules/@types/node":
      "../../@types+node@24.2.0/node_modules/@types/node",
    "node_modules/.pnpm/fast-check@4.3.0/node_modules/pure-rand":
      "../../pure-rand@7.0.1/node_modules/pure-rand",
    "node_modules/.pnpm/@a+b@1.0.0/node_modules/@types/node":
      "../../../@types+node@24.2.0/node_modules/@types/node",
  },
};

for (const [name, links] of Object.entries(layouts)) {
  Deno.test(`spawnModule() runs a child beside node_modules of ${name}`, async () => {
    await using root = await temporaryDirectory();
    const directory = `${root.path}/child`;
    const child = await writeLinks(directory, links);
    for (const [path, target] of Object.entries(links)) {
      const url = new URL(target, `file://${directory}/${path}`);
      await Deno.mkdir(url, { recursive: true });
    }
    assertEquals(await hear(child), ["started"]);
  });
}

Deno.test("spawnModule() refuses links that a child could move: it may write there", async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/module`;
  await Deno.mkdir(`${root.path}/c/x`, { recursive: true });
  await Deno.copyFile(secretPath, `${root.path}/c/secret`);
  // Inside from where it lies, and outside from where it is moved
  const child = await writeLinks(
    directory,
    { "a/b/l": "../c/x" },
    importer(
      `(Deno.renameSync(import.meta.dirname + "/a/b/l", import.meta.dirname + "/l"),
        import.meta.dirname + "/l%2F..%2Fsecret")`,
      "text",
    ),
  );

  for (
    const permissions of [
      { write: [directory] },
      { write: [`${directory}/a`] },
      { write: [root.path] },
      { write: true },
    ]
  ) {
    assertStringIncludes(
      await refusal(child, { permissions }),
      `Cannot start module: the symbolic link ${directory}/a/b/l could be moved`,
    );
  }
  // Elsewhere it may write
  await Deno.mkdir(`${directory}/out`);
  const [refused] = await hear(child, {
    permissions: { write: [`${directory}/out`] },
  });
  assertStringIncludes(refused ?? "", "Requires");

  assertEquals(
    (await hear(child, { permissions: "inherit" })).map((text) => text.trim()),
    [secret],
  );
});

Deno.test("spawnModule() lets a child write where links lead to names in their own folder", async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/module`;
  const child = await writeLinks(
    directory,
    { "a/link": "file", ".#child.ts": "me@host.1:2" },
    sender(
      "",
      `Deno.writeTextFileSync(import.meta.dirname + "/a/link", "written")`,
    ),
  );
  await Deno.writeTextFile(`${directory}/a/file`, "");
  assertEquals(await hear(child, { permissions: { write: [directory] } }), [
    "undefined",
  ]);
  assertEquals(await Deno.readTextFile(`${directory}/a/file`), "written");
});

Deno.test("spawnModule() refuses links in directories that it grants", async () => {
  await using root = await temporaryDirectory();
  const granted = `${root.path}/granted`;
  await Deno.mkdir(granted);
  await Deno.symlink(secretPath, `${granted}/link`);
  const reader = await writeModule(`${root.path}/reader`, {
    "child.ts": sender("", `Deno.readTextFileSync("${granted}/link")`),
  });
  const writer = await writeModule(`${root.path}/writer`, {
    "child.ts": sender("", `Deno.writeTextFileSync("${granted}/out", "x")`),
  });

  const expected =
    `Cannot start module: the symbolic link ${granted}/link leads out of ${granted}`;
  for (const path of [granted, new URL(`file://${granted}`), root.path]) {
    assertStringIncludes(
      await refusal(reader, { permissions: { read: [path] } }),
      path === root.path ? "leads out" : expected,
    );
  }
  assertEquals(
    (await hear(reader, { permissions: "inherit" })).map((text) => text.trim()),
    [secret],
  );

  await Deno.remove(`${granted}/link`);
  await Deno.symlink(`${root.path}/outside`, `${granted}/out`);
  assertStringIncludes(
    await refusal(writer, { permissions: { write: [granted] } }),
    `the symbolic link ${granted}/out leads out of ${granted}`,
  );
  assertEquals(await hear(writer, { permissions: "inherit" }), ["undefined"]);
  assertEquals(await Deno.readTextFile(`${root.path}/outside`), "x");

  // Not searched: permissions granted in full, and paths that are missing or not directories
  await Deno.remove(`${granted}/out`);
  await Deno.symlink(secretPath, `${granted}/link`);
  for (const read of [true, ["/"], [`${granted}/link`], [`${granted}/none`]]) {
    const [message] = await hear(reader, { permissions: { read } });
    assertEquals(
      message?.trim().replace(/.*refused.*/s, "refused"),
      String(read).endsWith("none") ? "refused" : secret,
    );
  }
});

Deno.test("spawnModule() refuses a directory with a name that is not UTF-8", async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/module`;
  const child = await writeModule(directory, { "child.ts": starter });
  // The decoy has the name that Deno reads for the other one
  const { success } = await new Deno.Command("sh", {
    args: [
      "-c",
      `d=$(printf '\\377') && mkdir "$d" "\uFFFD" && ln -s / "$d/link"`,
    ],
    cwd: directory,
  }).output();
  assertEquals(success, true);

  assertStringIncludes(
    await refusal(child),
    `Cannot start module: ${directory} holds a name that is not UTF-8`,
  );
});

// Root can list any directory, unless it drops that capability
const setpriv = isRoot ? await findOnLinux("setpriv") : undefined;

Deno.test("spawnModule() refuses a directory that cannot be read", {
  ignore: Deno.build.os !== "linux" || setpriv?.ignore === true,
}, async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/module`;
  const child = await writeLinks(
    directory,
    { "d/link": secretPath },
    sender("", `Deno.readTextFileSync(import.meta.dirname + "/d/link")`),
  );
  await Deno.chmod(`${directory}/d`, 0o111);
  const parent = fileURLToPath(new URL("./parents/start.ts", import.meta.url));
  const command = [Deno.execPath(), "run", "-A", parent, fileURLToPath(child)];
  const drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
  const [program = "", ...args] = isRoot ? [...drop, ...command] : command;
  const { stdout } = await new Deno.Command(program, { args }).output();
  await Deno.chmod(`${directory}/d`, 0o755);

  assertStringIncludes(
    new TextDecoder().decode(stdout),
    `Cannot start module: ${directory}/d cannot be read`,
  );
});

Deno.test("spawnModule() starts a child whatever vanishes beside it", async () => {
  await using root = await temporaryDirectory();
  const directory = `${root.path}/module`;
  const child = await writeModule(directory, { "child.ts": starter });
  // It ends by itself: a killed shell would leave its own child at work in the directory.
  const turmoil = new Deno.Command("sh", {
    args: [
      "-ec",
      "until [ -e ../stop ]; do mkdir -p d1/e d2/e d3/e d4/e d5/e d6/e; ln -s a d1/e/l; rm -r d?; done",
    ],
    cwd: directory,
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  try {
    for (let count = 0; count < 10; count++) {
      assertEquals(await hear(child), ["started"]);
    }
  } finally {
    await Deno.writeTextFile(`${root.path}/stop`, "");
    assertEquals((await turmoil.status).code, 0);
  }
});
