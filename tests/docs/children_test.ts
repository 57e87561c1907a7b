import { assert, assertStringIncludes } from "@std/assert";
import { assertPrints, examplesIn } from "../examples.ts";
import { findPerl, missing } from "../programs.ts";

const page = "docs/children.md";
const ROOT = new URL("../../", import.meta.url);
const markdown = await Deno.readTextFile(new URL(page, ROOT));

const perl = await findPerl();

Deno.test(`${page} shows the children that the tests run`, async () => {
  for (
    const [file = "", language] of [
      ["tests/peers/echo.py", "python"],
      ["docs/children/echo.mjs", "js"],
      ["docs/children/echo.go", "go"],
      ["docs/children/echo.rs", "rust"],
      ["docs/children/echo.pl", "perl"],
    ]
  ) {
    const code = await Deno.readTextFile(new URL(file, ROOT));
    assertStringIncludes(markdown, `\`\`\`${language}\n${code}\`\`\`\n`);
  }
});

Deno.test({
  name: `${page} example parent.ts prints what it says`,
  ignore: perl.ignore,
  async fn() {
    assert(perl.command, missing);
    const example = examplesIn(markdown).find(({ name }) =>
      name === "parent.ts"
    );
    assert(example);
    await assertPrints(example, [example], async (directory) => {
      const url = new URL("docs/children/echo.pl", ROOT);
      await Deno.copyFile(url, `${directory}/echo.pl`);
    });
  },
});
