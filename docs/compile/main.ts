import { connectToParent, json, spawn } from "@socketpair/socketpair";

async function runParent() {
  await using child = await spawn(Deno.execPath(), {
    // When not compiled, Deno.execPath() is deno
    args: Deno.build.standalone
      ? ["child"]
      : ["run", "-A", import.meta.filename ?? "", "child"],
    serialization: json<number, string[]>(),
  });
  await child.channel.send(["taco", "cat"]);
  console.log(await child.channel.receive()); // 7
}

async function runChild() {
  const parent = await connectToParent({
    serialization: json<string[], number>(),
  });
  for await (const words of parent) await parent.send(words.join("").length);
  await parent.close();
}

await (Deno.args[0] === "child" ? runChild() : runParent());
