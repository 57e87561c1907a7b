import { json } from "../../../channel.ts";
import { spawnModule } from "../../../pair.ts";

// Starts children that attack their standard output, and says on standard error what became of it
const [attack = "", stdout, count = "1"] = Deno.args;
await Promise.all(
  Array.from({ length: Number(count) }, async (_, number) => {
    await using child = await spawnModule(
      new URL("../sandbox/output/child.ts", import.meta.url),
      {
        args: [attack, String(number)],
        serialization: json(),
        ...stdout === "inherit" && { stdout },
      },
    );
    for await (const message of child.channel) console.error(message);
  }),
);
