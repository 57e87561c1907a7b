/** A child that answers what the parent asks about its permissions. */
import { connectToParent } from "../../../../pair.ts";
import { json } from "../../../../channel.ts";

await using channel = await connectToParent({
  serialization: json<Deno.PermissionDescriptor | Deno.PermissionState>(),
});
for await (const descriptor of channel) {
  if (typeof descriptor === "string") continue;
  await channel.send((await Deno.permissions.query(descriptor)).state);
}
