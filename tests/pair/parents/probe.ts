/**
 * A parent with whatever permissions it is run with: it prints, as JSON, what a child
 * holds that inherits all of them ("inherit"), each of them ("each") or none.
 */
import { json } from "../../../channel.ts";
import { spawnModule } from "../../../pair.ts";

const names = [
  "read",
  "write",
  "net",
  "env",
  "run",
  "sys",
  "ffi",
  "import",
] as const;
const inherited = Object.fromEntries(
  names.map((name) => [name, "inherit" as const]),
);
const states: Record<string, string> = {};
{
  await using child = await spawnModule(
    new URL("../sandbox/probe/child.ts", import.meta.url),
    {
      permissions: Deno.args[0] === "each"
        ? inherited
        : Deno.args[0] === "inherit"
        ? "inherit"
        : "none",
      serialization: json<Deno.PermissionDescriptor | Deno.PermissionState>(),
      ...Deno.args[1] === undefined ? {} : { directory: Deno.args[1] },
    },
  );
  for (const name of names) {
    await child.channel.send({ name });
    states[name] = String(await child.channel.receive());
  }
}
console.log(JSON.stringify(states));
