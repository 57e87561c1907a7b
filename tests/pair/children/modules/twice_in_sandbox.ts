import { json } from "../../../../channel.ts";
import { connectToParent } from "../../../../pair.ts";

const parent = await connectToParent({ serialization: json<string>() });
await parent.send(await connectToParent().then(() => "connected", String));

const code = `
import { connectToParent } from ${
  JSON.stringify(import.meta.resolve("../../../../pair.ts"))
};
postMessage(await connectToParent().then(() => "connected", String));
`;
const worker = new Worker(
  `data:application/javascript,${encodeURIComponent(code)}`,
  { type: "module" },
);
worker.onmessage = async ({ data }) => {
  await parent.send(data);
  worker.terminate();
  await parent.close();
};
