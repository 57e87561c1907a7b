import { assert, assertEquals } from "@std/assert";
import { text } from "../../channel.ts";
import {
  type ChildWithDescriptors,
  spawnWithDescriptors,
} from "../../descriptors.ts";
import { findPython, findRuby, type Program } from "../programs.ts";

export const ignore = Deno.build.os === "windows";
export const cwd = new URL("./peers/", import.meta.url);
export const [ruby, python] = await Promise.all([findRuby(), findPython()]);
const deno: Program = { command: Deno.execPath(), ignore: false };

export const missing = "Cannot run the peer: its program is not installed";

interface Peer {
  name: string;
  program: Program;
  args: string[];
}
const rubyPeer = { name: "Ruby", program: ruby, args: ["peer.rb"] };
export const pythonPeer = {
  name: "Python",
  program: python,
  args: ["peer.py"],
};
export const denoPeer = {
  name: "Deno",
  program: deno,
  args: ["run", "-A", "peer.ts"],
};
export const peers: Peer[] = [rubyPeer, pythonPeer, denoPeer];

async function start(peer: Peer): Promise<ChildWithDescriptors<string>> {
  assert(peer.program.command, missing);
  const { command } = peer.program;
  return await spawnWithDescriptors(command, {
    args: peer.args,
    cwd,
    serialization: text(),
  });
}

export function testPeer(
  peer: Peer,
  name: string,
  fn: (child: ChildWithDescriptors<string>) => Promise<void>,
) {
  Deno.test({
    name: `${name} (${peer.name})`,
    ignore: ignore || peer.program.ignore,
    async fn() {
      await using both = await start(peer);
      await fn(both);
      const { child, descriptors } = both;
      await descriptors.close();
      assertEquals((await child.close()).success, true);
    },
  });
}
