/** A child that looks for what its parent has stored. */
import { connectToParent } from "../../../../pair.ts";
import { json } from "../../../../channel.ts";

await using channel = await connectToParent({
  serialization: json<(string | null)[]>(),
});
const cache = await caches.open("socketpair");
const response = await cache.match("http://localhost/secret");
await channel.send([
  localStorage.getItem("socketpair"),
  await response?.text() ?? null,
]);
