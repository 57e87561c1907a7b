import { once } from "node:events";
import { closeSync, openSync, readSync } from "node:fs";
import net from "node:net";
import { text } from "../../../channel.ts";
import {
  closeDescriptor,
  connectDescriptorsToParent,
  descriptorOf,
  listen,
  openFile,
  openSocket,
} from "../../../descriptors.ts";
import { openCount, pipe } from "../libc.ts";

const { channel, descriptors } = await connectDescriptorsToParent({
  serialization: text(),
});

async function take(): Promise<number> {
  const descriptor = await descriptors.receive();
  if (descriptor === null) throw new Error("The parent gave nothing");
  return descriptor;
}

async function give(...numbers: number[]) {
  for (const descriptor of numbers) await descriptors.send(descriptor);
}

for await (const command of channel) {
  const [, argument = ""] = /^(?:give the file|echo) (.*)/.exec(command) ?? [];
  if (command === "take a file") {
    const file = await openFile(await take());
    await channel.send(await new Response(file.readable).text());
  } else if (command === "take a pipe") {
    const socket = openSocket(await take()).end("from the peer");
    await once(socket, "close");
  } else if (command === "take a connection") {
    const socket = openSocket(await take());
    for await (const line of socket) socket.write(String(line).toUpperCase());
  } else if (command === "take a listener") {
    const server = listen(await take());
    const [socket] = await once(server, "connection");
    const [line] = await once(socket, "data");
    socket.end(String(line).toUpperCase());
    server.close();
    await once(server, "close");
  } else if (command.startsWith("give the file")) {
    const file = openSync(argument, "r");
    readSync(file, new Uint8Array(5));
    await give(file);
    closeSync(file);
  } else if (command === "give a pipe") {
    const [reader, writer] = pipe();
    await give(reader);
    closeDescriptor(reader);
    openSocket(writer).end("from the peer");
  } else if (command === "give a connection") {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (typeof address === "object") await channel.send(`${address?.port}`);
    const [socket] = await once(server, "connection");
    const [line] = await once(socket, "data");
    socket.pause();
    await new Promise((resolve) =>
      socket.write(String(line).toUpperCase(), resolve)
    );
    await give(descriptorOf(socket));
    socket.destroy();
    server.close();
  } else if (command === "give a listener") {
    const server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    await give(descriptorOf(server));
    server.close();
  } else if (command.startsWith("echo")) {
    for (let left = Number(argument); left > 0; left--) {
      const descriptor = await take();
      await give(descriptor);
      closeDescriptor(descriptor);
    }
  } else if (command === "environment") {
    const names = Object.keys(Deno.env.toObject());
    const left = names.filter((name) => name.startsWith("SOCKETPAIR_"));
    await channel.send(left.join());
    await connectDescriptorsToParent()
      .catch((error) => channel.send(String(error)));
  } else if (command === "count") {
    await channel.send(String(openCount()));
  }
}
await descriptors.close();
