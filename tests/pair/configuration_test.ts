import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { findNpm } from "../programs.ts";
import { child, parent, Project } from "./projects.ts";

const MAPPED = { "lib.ts": `export default "mapped";` };
const MAP = { imports: { lib: "./lib.ts" } };
const CHILD = child(`import lib from "lib";`, "lib");
const PACKAGE = {
  name: "project",
  type: "module",
  scripts: Object.fromEntries(
    ["preinstall", "install", "postinstall", "prepare"]
      .map((name) => [name, `echo ran >> ran`]),
  ),
  dependencies: { "fast-check": "^4.0.0" },
};
const FAST_CHECK = `import fc from "fast-check";`;
const VERSION = "fc.__version";

/** A Worker that starts a module, and posts what that sends. */
function worker(specifier: string): string {
  return parent(specifier, { print: "postMessage" });
}

/** A main module that starts a Worker, and prints what that posts. */
function main(url: string): string {
  return `
const worker = new Worker(${url}, { type: "module" });
const message = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => { event.preventDefault(); reject(event.message); };
});
console.log(message);
worker.terminate();
`;
}

Deno.test("spawnModule() in a Worker uses the configuration above the Worker's module", async () => {
  await using project = await Project.make({
    // The main module has another
    "deno.json": {},
    "main.ts": main(`import.meta.resolve("./workers/worker.ts?query#hash")`),
    "workers/deno.json": MAP,
    "workers/lib.ts": MAPPED["lib.ts"],
    "workers/worker.ts": worker(`import.meta.resolve("./child.ts")`),
    "workers/child.ts": CHILD,
  });
  assertEquals(await project.deno("run", "-A", "main.ts"), "mapped");
});

Deno.test("spawnModule() in a Worker that a Worker has started works", async () => {
  await using project = await Project.make({
    ...MAPPED,
    "deno.json": MAP,
    "main.ts": main(`import.meta.resolve("./outer.ts")`),
    "outer.ts": `
const worker = new Worker(import.meta.resolve("./worker.ts"), { type: "module" });
worker.onmessage = ({ data }) => { worker.terminate(); postMessage(data); };
`,
    "worker.ts": worker(`import.meta.resolve("./child.ts")`),
    "child.ts": CHILD,
  });
  assertEquals(await project.deno("run", "-A", "main.ts"), "mapped");
});

for (const kind of ["data:", "blob:"]) {
  Deno.test(`spawnModule() in a Worker of a ${kind} URL uses the configuration above the current directory`, async () => {
    await using project = await Project.make({
      ...MAPPED,
      "deno.json": MAP,
      "child.ts": CHILD,
    });
    const type = "application/javascript";
    const code = JSON.stringify(worker(`"./child.ts"`));
    await project.write({
      "main.ts": main(
        kind === "data:"
          ? `"data:${type}," + encodeURIComponent(${code})`
          : `URL.createObjectURL(new Blob([${code}], { type: "${type}" }))`,
      ),
    });
    assertEquals(await project.deno("run", "-A", "main.ts"), "mapped");
  });
}

Deno.test("spawnModule() in a Worker of node:worker_threads works", async () => {
  await using project = await Project.make({
    ...MAPPED,
    "deno.json": MAP,
    "main.ts": `
import { Worker } from "node:worker_threads";
const worker = new Worker(new URL("./worker.ts", import.meta.url));
worker.on("message", (data) => { console.log(data); worker.terminate(); });
`,
    "worker.ts": parent(`import.meta.resolve("./child.ts")`, {
      imports: `import { parentPort } from "node:worker_threads";`,
      print: "parentPort.postMessage",
    }),
    "child.ts": CHILD,
  });
  assertEquals(await project.deno("run", "-A", "main.ts"), "mapped");
});

const npm = await findNpm();

for (
  const [name, install] of [
    ["deno install", (project: Project) => project.deno("install")],
    ["npm install", async (project: Project) => {
      const args = ["install", "--ignore-scripts"];
      const { success, stderr } = await project.try(args, { program: "npm" });
      assert(success, stderr);
    }],
  ] as const
) {
  Deno.test({
    name:
      `spawnModule() resolves what its parent resolves after ${name} in a project of package.json`,
    ignore: name === "npm install" && npm.ignore,
    async fn() {
      const options = { imports: FAST_CHECK, expression: VERSION };
      await using project = await Project.make({
        "package.json": PACKAGE,
        "main.ts": parent(`import.meta.resolve("./child.ts")`, options),
        "child.ts": child(FAST_CHECK, VERSION),
        "beside.ts": parent(
          `import.meta.resolve("./deeper/child.ts")`,
          options,
        ),
        "deeper/child.ts": child(
          `import { createRequire } from "node:module";
           import fc from "npm:fast-check@^4";`,
          `[${VERSION}, createRequire(import.meta.url)("fast-check").__version]`,
        ),
      });
      await install(project);
      const before = await project.files();

      const [received, version] = (await project.deno("run", "-A", "main.ts"))
        .split(" ");
      assertMatch(received ?? "", /^4\./);
      assertEquals(received, version);

      // Whatever the current directory
      const { stdout, stderr } = await project.try(
        ["run", "-A", `${project.directory}/beside.ts`],
        { cwd: "/" },
      );
      assertEquals(stdout, `${version},${version} ${version}\n`, stderr);
      assertEquals(await project.files(), before);
    },
  });
}

Deno.test("spawnModule() takes a file for CommonJS where its package.json says so, as its parent does", async () => {
  const imports = `import lib from "./lib.js";`;
  await using project = await Project.make({
    "secret.json": `"secret"`,
    "project/package.json": { type: "commonjs" },
    "project/node_modules/pack/package.json": { name: "pack" },
    "project/node_modules/pack/index.js": `module.exports = "packed";`,
    "project/lib.js": `
try {
  require("../secret.json");
  exports.secret = "read";
} catch (error) {
  exports.secret = error.name;
}
exports.pack = require("pack");`,
    "project/main.ts": parent(`import.meta.resolve("./child.ts")`, {
      imports,
      expression: "[lib.pack, lib.secret]",
    }),
    "project/child.ts": child(imports, "[lib.pack, lib.secret]"),
  });
  assertEquals(
    await project.deno("run", "-A", "project/main.ts"),
    "packed,NotCapable packed,read",
  );
});

Deno.test("spawnModule() that grants everything resolves what its parent resolves, too", async () => {
  const options = {
    imports: `import lib from "lib";`,
    expression: "lib",
    options: `permissions: "inherit"`,
  };
  await using project = await Project.make({
    "a/deno.json": MAP,
    "a/lib.ts": MAPPED["lib.ts"],
    "a/main.ts": parent(`import.meta.resolve("../b/child.ts")`, options),
    "b/deno.json": { imports: { lib: "./other.ts" } },
    "b/other.ts": `export default "other";`,
    "b/child.ts": CHILD,
  });
  const main = ["run", "-A", "a/main.ts"];
  assertEquals(await project.deno(...main), "mapped mapped");

  await project.write({
    "a/main.ts": parent(`import.meta.resolve("../b/child.ts")`, {
      ...options,
      options: `permissions: "inherit", denoArgs: ["--config=b/deno.json"]`,
    }),
  });
  assertEquals(await project.deno(...main), "other mapped");
});

Deno.test("spawnModule() resolves packages of node_modules beside a deno.json", async () => {
  await using project = await Project.make({
    ...MAPPED,
    "deno.json": MAP,
    "package.json": { name: "project", dependencies: { pack: "1.0.0" } },
    "node_modules/pack/package.json": { name: "pack", version: "1.0.0" },
    "node_modules/pack/index.js": `module.exports = "packed";`,
    "main.ts": parent(`import.meta.resolve("./child.ts")`),
    "child.ts": child(
      `import lib from "lib"; import pack from "pack";`,
      "lib + pack",
    ),
  });
  assertEquals(await project.deno("run", "-A", "main.ts"), "mappedpacked");

  // What a configuration says of node_modules holds
  await project.write({
    "deno.json": `{
      // "nodeModulesDir": "none"
      "imports": { "lib": "./lib.ts", },
      /* and a comment */ "nodeModulesDir": "manual",
    }`,
    "package.json": {},
  });
  assertEquals(await project.deno("run", "-A", "main.ts"), "mappedpacked");
});

Deno.test("spawnModule() takes packages from node_modules if a configuration in denoArgs says so", async () => {
  await using project = await Project.make({
    "package.json": { name: "project" },
    "node_modules/pack/package.json": { name: "pack" },
    "node_modules/pack/index.js": `module.exports = "packed";`,
    "main.ts": parent(`import.meta.resolve("./child.ts")`, {
      options: `denoArgs: ["--config", "other.json"]`,
    }),
    "child.ts": child(
      `const pack = await import("pack").catch(() => ({ default: "none" }));`,
      "pack.default",
    ),
  });
  for (
    const [config, printed] of [
      [{ nodeModulesDir: "manual" }, "packed"],
      [{ nodeModulesDir: "none" }, "none"],
      [{}, "none"],
    ] as const
  ) {
    await project.write({ "other.json": config });
    assertEquals(await project.deno("run", "-A", "main.ts"), printed);
  }
});

Deno.test("spawnModule() resolves what its parent resolves in a member of a workspace", async () => {
  const files = {
    ...MAPPED,
    "node_modules/pack/package.json": { name: "pack", version: "1.0.0" },
    "node_modules/pack/index.js": `module.exports = "packed";`,
    "packages/a/main.ts": parent(`import.meta.resolve("./child.ts")`, {
      imports: `import lib from "lib";`,
      expression: "lib",
    }),
    "packages/a/child.ts": child(
      `import { createRequire } from "node:module";`,
      `createRequire(import.meta.url).resolve("pack").slice(-13)`,
    ),
    "packages/a/lib.ts": MAPPED["lib.ts"],
  };
  const map = { imports: { lib: "./packages/a/lib.ts" } };
  const dependencies = { pack: "1.0.0" };
  for (
    const configuration of [
      {
        "deno.json": { workspace: ["./packages/a"], ...map },
        "packages/a/package.json": { name: "a", dependencies },
      },
      {
        "deno.json": { workspace: { members: ["packages/*"] }, ...map },
        "package.json": { name: "root", dependencies },
        "packages/a/deno.json": {},
      },
      {
        "deno.json": map,
        "package.json": { name: "root", workspaces: ["packages/*"] },
        "packages/a/package.json": { name: "a", dependencies },
      },
    ]
  ) {
    await using project = await Project.make({ ...files, ...configuration });
    const args = ["run", "-A", "packages/a/main.ts"];
    assertEquals(await project.deno(...args), "pack/index.js mapped");
    await project.write({
      "packages/a/child.ts": child(
        `import lib from "lib"; import pack from "pack";`,
        "lib + pack",
      ),
    });
    assertEquals(await project.deno(...args), "mappedpacked mapped");
  }
});

Deno.test("spawnModule() keeps a module out of all that only passes through node_modules", async () => {
  await using project = await Project.make({
    "secret/secret.json": `"secret"`,
    "project/package.json": { name: "project" },
    "project/node_modules/pack/package.json": { name: "pack" },
    "project/node_modules/pack/data.json": `"data"`,
    "other/node_modules/pack/data.json": `"other"`,
    "project/main.ts": parent(`import.meta.resolve("./child/child.ts")`),
    "project/child/child.ts": child(
      `const found = [];
       for (const path of [
         "../node_modules/pack/data.json",
         "../node_modules/pack%2F..%2F..%2F..%2Fsecret%2Fsecret.json",
         "../node_modules/none%2F..%2F..%2F..%2Fsecret%2Fsecret.json",
         "../node_modules/..%2F..%2Fsecret%2Fsecret.json",
         "../../secret/secret.json",
         "../../other/node_modules/pack/data.json",
       ]) {
         const url = new URL(path, import.meta.url).href;
         await import(url, { with: { type: "json" } })
           .then((module) => found.push(module.default), () => found.push("-"));
       }`,
      "found",
    ),
  });
  // Each node_modules is open: SECURITY.md says so
  assertEquals(
    await project.deno("run", "-A", "project/main.ts"),
    "data,-,-,-,-,other",
  );
  await project.write({ "project/deno.json": {} });
  await Deno.remove(`${project.directory}/project/package.json`);
  assertEquals(
    await project.deno("run", "-A", "project/main.ts"),
    "-,-,-,-,-,-",
  );
  await project.write({
    "project/package.json": { name: "project" },
    "project/main.ts": parent(`import.meta.resolve("./child/child.ts")`, {
      options: `denoArgs: Deno.args`,
    }),
  });
  assertEquals(
    await project.deno(
      "run",
      "-A",
      "project/main.ts",
      "--node-modules-dir=none",
    ),
    "-,-,-,-,-,-",
  );
  // What only Deno can read opens nothing.
  await project.write({
    "project/package.json": { name: "project" },
    "project/deno.json": `{ nodeModulesDir: 'none' }`,
  });
  assertEquals(
    await project.deno("run", "-A", "project/main.ts"),
    "-,-,-,-,-,-",
  );
  await Deno.remove(`${project.directory}/project/package.json`);
  await project.write({ "project/deno.json": {} });
  // A workspace that may count for Deno can forbid it.
  await project.write({
    "project/package.json": { name: "project" },
    "deno.json": { workspace: ["./proj*"], nodeModulesDir: "none" },
  });
  assertEquals(
    await project.deno("run", "-A", "project/main.ts"),
    "-,-,-,-,-,-",
  );
  await Deno.remove(`${project.directory}/project/package.json`);
  // A workspace counts only for its members, as Deno does it.
  for (
    const [member, found] of [["other", "-,-"], [
      "project",
      "data,other",
    ]] as const
  ) {
    const workspace = { workspace: [member], nodeModulesDir: "manual" };
    await project.write({ "deno.json": workspace, "other/deno.json": {} });
    const printed = await project.deno("run", "-A", "project/main.ts");
    assertEquals(printed.replace(/(,-){4},/, ","), found);
  }
});

Deno.test("spawnModule() keeps a module that may write from node_modules, and says so", async () => {
  await using project = await Project.make({
    "package.json": { name: "project", dependencies: { pack: "1.0.0" } },
    "node_modules/pack/package.json": { name: "pack", version: "1.0.0" },
    "node_modules/pack/index.js": `module.exports = "packed";`,
    "main.ts": parent(`import.meta.resolve("./child.ts")`, {
      options: "permissions: { write: ['out'] }",
    }),
    "asked.ts": parent(`import.meta.resolve("./child.ts")`, {
      options:
        "permissions: { write: ['out'] }, denoArgs: ['--node-modules-dir=manual']",
    }),
    "child.ts": child(`import pack from "pack";`, "pack"),
  });
  for (const files of [{}, { "deno.json": {} }]) {
    await project.write(files);
    const { success, stderr } = await project.try(["run", "-A", "main.ts"]);
    assert(!success);
    assertStringIncludes(
      stderr,
      "a module that may write is kept from node_modules",
    );
  }
  assertEquals(await project.deno("run", "-A", "asked.ts"), "packed");
});

/** What the README says that a parent needs, for a socket in `sockets`. */
const LEAST = [
  "run",
  "--no-prompt",
  "--allow-run",
  "--allow-net",
  "--allow-write=sockets",
];

for (const name of ["deno.json", "deno.jsonc", "package.json"]) {
  Deno.test(`spawnModule() names a ${name} that is there and may not be read`, async () => {
    await using project = await Project.make({
      ...MAPPED,
      "sockets/.keep": "",
      [name]: name === "package.json" ? {} : MAP,
      "src/main.ts": parent(`import.meta.resolve("./child.ts")`, {
        options: `directory: "sockets"`,
      }),
      "src/child.ts": child(
        "",
        name === "package.json"
          ? `"mapped"`
          : `import.meta.resolve("lib").slice(-6)`,
      ),
    });
    const path = `${project.directory}/${name}`;
    const { success, stderr } = await project.try(
      [...LEAST, "--allow-read=sockets,src", "src/main.ts"],
    );
    assert(!success);
    assertStringIncludes(stderr, "NotCapable: Cannot use configuration");
    assertStringIncludes(stderr, `--allow-read=${path}`);

    const printed = await project.deno(
      ...LEAST,
      `--allow-read=sockets,src,${name}`,
      "src/main.ts",
    );
    assertEquals(printed, name === "package.json" ? "mapped" : "lib.ts");
  });
}

Deno.test("spawnModule() names the deno.json of a workspace that may not be read", async () => {
  await using project = await Project.make({
    ...MAPPED,
    "sockets/.keep": "",
    "deno.json": { workspace: ["a"], ...MAP },
    "a/package.json": { name: "a" },
    "a/main.ts": parent(`import.meta.resolve("./child.ts")`, {
      options: `directory: "sockets"`,
    }),
    "a/child.ts": child("", `import.meta.resolve("lib").slice(-6)`),
  });
  const allowed = "--allow-read=sockets,a";
  const { success, stderr } = await project.try(
    [...LEAST, allowed, "a/main.ts"],
  );
  assert(!success);
  assertStringIncludes(stderr, `--allow-read=${project.directory}/deno.json`);
  assertEquals(
    await project.deno(...LEAST, `${allowed},deno.json`, "a/main.ts"),
    "lib.ts",
  );
});

Deno.test("spawnModule() asks for no permission where no configuration is", async () => {
  await using project = await Project.make({
    "sockets/.keep": "",
    // A directory is none
    "deno.json/.keep": "",
    "src/main.ts": parent(`import.meta.resolve("./child.ts")`, {
      options: `directory: "sockets"`,
    }),
    "src/child.ts": child("", `"started"`),
  });
  const args = [...LEAST, "--allow-read=sockets,src", "src/main.ts"];
  assertEquals(await project.deno(...args), "started");

  // It looks for symbolic links beside the module.
  const { stderr } = await project.try(
    [...LEAST, "--allow-read=sockets", "src/main.ts"],
  );
  assertStringIncludes(stderr, `--allow-read=${project.directory}/src`);
});

for (const flag of ["--config", "--import-map"]) {
  Deno.test(`spawnModule() says that ${flag} of its parent is not seen, and takes it in denoArgs`, async () => {
    await using project = await Project.make({
      ...MAPPED,
      "other.json": MAP,
      "main.ts": parent(`import.meta.resolve("./child.ts")`, {
        imports: `import lib from "lib";`,
        expression: "lib",
        options: "denoArgs: Deno.args",
      }),
      "child.ts": CHILD,
    });
    const args = ["run", "-A", `${flag}=other.json`, "main.ts"];
    const { success, stderr } = await project.try(args);
    assert(!success);
    assertMatch(stderr, /there is no deno\.json or package\.json above/);
    assertMatch(stderr, /flag .*--config, --import-map.* denoArgs/);

    const printed = await project.deno(...args, `${flag}=other.json`);
    assertEquals(printed, "mapped mapped");
  });
}

for (const options of [`cwd: "/"`, "clearEnv: true"]) {
  Deno.test(`spawnModule() with ${options} has the child use the remote modules of its parent`, async () => {
    await using project = await Project.make({
      "main.ts": parent(`import.meta.resolve("./sandbox/child.ts")`, {
        options: `${options}, permissions: {
env: ["DENO_DIR"], read: true }`,
      }),
      "sandbox/child.ts": child(
        "",
        `Deno.readLinkSync(Deno.env.get("DENO_DIR") + "/remote")`,
      ),
    });
    const { directory } = project;
    for (
      const [variable, value, cache] of [
        ["DENO_DIR", "cache", "cache"],
        ["XDG_CACHE_HOME", `${directory}/caches`, "caches/deno"],
      ] as const
    ) {
      const env = { DENO_DIR: "", [variable]: value };
      const args = ["run", "-A", "main.ts"];
      const { stdout, stderr } = await project.try(args, { env });
      assertEquals(stdout, `${directory}/${cache}/remote\n`, stderr);
    }
  });
}

Deno.test("spawnModule() says that --unstable-sloppy-imports of its parent is not seen", async () => {
  const imports = `import lib from "./lib";`;
  await using project = await Project.make({
    ...MAPPED,
    "main.ts": parent(`import.meta.resolve("./child.ts")`, { imports }),
    "child.ts": child(imports, "lib"),
  });
  const args = ["run", "-A", "--unstable-sloppy-imports", "main.ts"];
  const { stderr } = await project.try(args);
  assertMatch(stderr, /Maybe add a '\.ts' extension.* denoArgs/);
});

Deno.test("spawnModule() speaks of denoArgs only where a specifier cannot be resolved", async () => {
  await using project = await Project.make({
    "main.ts": parent(`import.meta.resolve("./child.ts")`),
    "child.ts": `throw new TypeError("of its own");`,
  });
  const { stderr } = await project.try(["run", "-A", "main.ts"]);
  assertStringIncludes(stderr, "of its own");
  assert(!stderr.includes("denoArgs"), stderr);
});

Deno.test("spawnModule() starts a module where the parent's imports are sloppy", async () => {
  await using project = await Project.make({
    "deno.json": { unstable: ["sloppy-imports"] },
    "main.ts": parent(`import.meta.resolve("./child")`),
    "child.ts": child(`import lib from "./lib";`, "lib"),
    "lib.ts": `export default "sloppy";`,
  });
  assertEquals(await project.deno("run", "-A", "main.ts"), "sloppy");
});
