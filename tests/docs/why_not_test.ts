/** What README's table says of others than socketpair; what it says of ours is tested where it belongs. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { ExitError, spawnModule } from "../../mod.ts";

const HERE = new URL("./why_not/", import.meta.url);
const SECRET = fileURLToPath(new URL("secret.txt", HERE));

const LITTLE_MEMORY = "--v8-flags=--max-old-space-size=32";
const EXHAUST =
  "const all = []; for (;;) all.push(new Array(10_000).fill(1.5));";

function deno(...args: string[]): Promise<Deno.CommandOutput> {
  return new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
  }).output();
}

for (const [way, arrivesAs] of [["fork", "isArray"], ["execa", "isBytes"]]) {
  Deno.test(`README is right: a child of ${way} reads what its parent may not, and bytes arrive there as it says`, async () => {
    const { success, stdout, stderr } = await deno(
      "run",
      "--no-prompt",
      "--allow-run",
      "--allow-env",
      "--allow-sys",
      `--deny-read=${SECRET}`,
      "--allow-read",
      fileURLToPath(new URL("fork.ts", HERE)),
      SECRET,
      way ?? "",
    );
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
      parentReads: false,
      secret: "the secret\n",
      isBytes: arrivesAs === "isBytes",
      isArray: arrivesAs === "isArray",
    });
  });
}

Deno.test("README is right: a Worker without permissions reads any file by an import", async () => {
  const worker = fileURLToPath(new URL("sandbox/worker.ts", HERE));
  const code = `
    const worker = new Worker("file://${worker}", { type: "module", deno: { permissions: "none" } });
    worker.onmessage = ({ data }) => { console.log(data); worker.terminate(); };`;
  const { stdout } = await deno("eval", "--unstable-worker-options", code);
  assertEquals(new TextDecoder().decode(stdout), "the secret\n\n");
});

Deno.test("README is right: a Worker that runs out of memory takes the whole process", async () => {
  const code = `
    const worker = new Worker("data:text/javascript,${EXHAUST}", { type: "module" });
    worker.onerror = (event) => { event.preventDefault(); console.log("the parent lives"); };`;
  const { success, stdout } = await deno("eval", LITTLE_MEMORY, code);
  assertEquals(success, false);
  assertEquals(new TextDecoder().decode(stdout), "");
});

Deno.test("README is right: a child of spawnModule() that runs out of memory is an error to the parent", async () => {
  const url = new URL("exhausting/child.ts", HERE);
  await using child = await spawnModule(url, {
    denoArgs: [LITTLE_MEMORY],
    stderr: "null",
  });
  await assertRejects(() => child.channel.receive(), ExitError);
});
