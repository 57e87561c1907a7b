/** A parent whose environment would have the child report to a collector. */
import { spawnModule } from "../../../pair.ts";

Deno.env.set("OTEL_DENO", "true");
await using child = await spawnModule(
  new URL("../sandbox/probe/child.ts", import.meta.url),
);
await child.channel.closeWrite();
await child.status;
