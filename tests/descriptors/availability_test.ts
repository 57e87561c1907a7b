import { assertEquals } from "@std/assert";
import { cwd, ignore } from "./peers.ts";

async function outputOf(args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...args],
    cwd,
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim();
}

Deno.test({
  name: "descriptors.ts throws without unrestricted --allow-ffi",
  ignore,
  async fn() {
    const message =
      "NotCapable: Cannot use descriptors: that requires unrestricted ffi access, run again with the --allow-ffi flag";
    assertEquals(await outputOf(["unavailable.ts"]), message);
    const partly = ["--allow-ffi=/nowhere", "unavailable.ts"];
    assertEquals(await outputOf(partly), message);
  },
});

Deno.test("descriptors.ts throws on other systems", async () => {
  assertEquals(
    await outputOf(["--allow-ffi", "unavailable.ts", "windows"]),
    `NotSupported: Cannot use descriptors on windows (${Deno.build.arch}): only Linux and macOS are supported`,
  );
});
