/** Who is measured: each peer is a program in `peers/`. */

import { CHANNELS } from "./workloads.ts";

export const TOOLS = {
  gcc: ["gcc", "--version"],
  ruby: ["ruby", "--version"],
  python: ["python3", "--version"],
  node: ["node", "--version"],
  deno: [Deno.execPath(), "--version"],
} as const;

export interface Peer {
  readonly title: string;
  readonly tool: keyof typeof TOOLS;
  /** Those that it takes part in. */
  readonly workloads: readonly string[];
  /** The program and its first arguments; it may be made in `directory` before. */
  command(directory: string): string[];
}

const ONE_WAY = ["oneway-64", "oneway-4k", "oneway-64k", "oneway-1m"];
const TRAFFIC = ["roundtrip-64", ...ONE_WAY, "both-4k", "slow"];
// A fork(2) starts no program: it has no place in "spawn"
const FORKING = [...TRAFFIC, "children"];
const ALL = [...FORKING, "spawn"];
const MANY = CHANNELS.map((count) => `channels-${count}`);

const program = (file: string) => `${import.meta.dirname ?? "."}/peers/${file}`;
const deno = (file: string, ...args: string[]) => [
  Deno.execPath(),
  "run",
  "-A",
  program(file),
  ...args,
];
const channels = (way: string) => [
  Deno.execPath(),
  "run",
  "-A",
  "--v8-flags=--expose-gc",
  program("channels.ts"),
  way,
];

export const PEERS: ReadonlyMap<string, Peer> = new Map(
  Object.entries<Peer>({
    "c": {
      title: "C, socketpair(2)",
      tool: "gcc",
      workloads: FORKING,
      command(directory) {
        const compiled = `${directory}/c`;
        const { success } = new Deno.Command("gcc", {
          args: ["-O2", "-pthread", "-o", compiled, program("c.c")],
          stderr: "inherit",
        }).outputSync();
        if (!success) throw new Error("gcc does not compile c.c");
        return [compiled];
      },
    },
    "ruby": {
      title: "Ruby, UNIXSocket.pair",
      tool: "ruby",
      workloads: FORKING,
      command: () => ["ruby", program("ruby.rb")],
    },
    "python": {
      title: "Python, multiprocessing.Pipe",
      tool: "python",
      workloads: [...FORKING, "records"],
      command: () => ["python3", program("python.py")],
    },
    "node-fork": {
      title: "Node, fork",
      tool: "node",
      workloads: [...ALL, "records", "calls"],
      command: () => ["node", program("fork.mjs")],
    },
    "deno-fork": {
      title: "Deno, fork",
      tool: "deno",
      workloads: [...ALL, "records", "calls"],
      command: () => deno("fork.mjs"),
    },
    "deno-conn": {
      title: "Deno.Conn by hand, no frames",
      tool: "deno",
      workloads: ALL,
      command: () => deno("deno_conn.ts"),
    },
    "deno-own": {
      title: "Deno.Conn, an ArrayBuffer each",
      tool: "deno",
      workloads: ONE_WAY,
      command: () => deno("deno_own.ts", "calls"),
    },
    "deno-own-streams": {
      title: "the same, read as a web stream",
      tool: "deno",
      workloads: ["oneway-64"],
      command: () => deno("deno_own.ts", "streams"),
    },
    "deno-framed": {
      title: "Deno.Conn by hand, frames",
      tool: "deno",
      workloads: ["roundtrip-64"],
      command: () => deno("deno_framed.ts", "own"),
    },
    "deno-framed-borrow": {
      title: "Deno.Conn by hand, frames",
      tool: "deno",
      workloads: ["oneway-64k", "oneway-1m"],
      command: () => deno("deno_framed.ts", "borrow"),
    },
    "deno-import": {
      title: "by hand, child imports mod.ts",
      tool: "deno",
      workloads: ["children", "spawn"],
      command: () => deno("deno_import.ts"),
    },
    "deno-conns": {
      title: "Deno.Conn by hand, no frames",
      tool: "deno",
      workloads: MANY,
      command: () => channels("conn"),
    },
    "deno-spawn": {
      title: "Deno.Command, our own child",
      tool: "deno",
      workloads: ["spawn"],
      command: () => deno("deno_spawn.ts"),
    },
    "json-parts": {
      title: "JSON: the parts of it, alone",
      tool: "deno",
      workloads: ["oneway-64k", "oneway-1m", "records"],
      command: () => deno("json_parts.ts"),
    },
    "ours": {
      title: "socketpair, send/receive",
      tool: "deno",
      workloads: ALL,
      command: () => deno("ours.ts", "send"),
    },
    "ours-borrow": {
      title: "socketpair, borrowed",
      tool: "deno",
      workloads: ["roundtrip-64", ...ONE_WAY],
      command: () => deno("ours.ts", "borrow"),
    },
    "ours-streams": {
      title: "socketpair, web streams",
      tool: "deno",
      workloads: TRAFFIC,
      command: () => deno("ours.ts", "streams"),
    },
    "ours-json": {
      title: "socketpair, json()",
      tool: "deno",
      workloads: TRAFFIC,
      command: () => deno("ours.ts", "json"),
    },
    "ours-records": {
      title: "socketpair, json()",
      tool: "deno",
      workloads: ["records"],
      command: () => deno("records.ts"),
    },
    "calls-hand": {
      title: "socketpair, messages by hand",
      tool: "deno",
      workloads: ["calls"],
      command: () => deno("calls.ts", "hand"),
    },
    "ours-calls": {
      title: "socketpair, JsonRpc",
      tool: "deno",
      workloads: ["calls"],
      command: () => deno("calls.ts", "jsonrpc"),
    },
    "calls-birpc": {
      title: "socketpair, birpc",
      tool: "deno",
      workloads: ["calls"],
      command: () => deno("calls.ts", "birpc"),
    },
    "calls-comlink": {
      title: "socketpair, comlink",
      tool: "deno",
      workloads: ["calls"],
      command: () => deno("calls.ts", "comlink"),
    },
    "calls-capnweb": {
      title: "socketpair, Cap'n Web",
      tool: "deno",
      workloads: ["calls"],
      command: () => deno("calls.ts", "capnweb"),
    },
    "ours-into": {
      title: "socketpair, receiveInto()",
      tool: "deno",
      workloads: ["oneway-64k", "oneway-1m"],
      command: () => deno("ours.ts", "into"),
    },
    "ours-channels": {
      title: "socketpair, send/receive",
      tool: "deno",
      workloads: MANY,
      command: () => channels("own"),
    },
    "ours-channels-borrow": {
      title: "socketpair, borrowed",
      tool: "deno",
      workloads: MANY,
      command: () => channels("borrow"),
    },
    "ours-program": {
      title: "socketpair, spawn()",
      tool: "deno",
      workloads: ["spawn-module"],
      command: () => deno("module.ts", "program"),
    },
    "deno-module": {
      title: "spawn(), flags and import by hand",
      tool: "deno",
      workloads: ["spawn-module"],
      command: () => deno("module.ts", "hand"),
    },
    "ours-module": {
      title: "socketpair, spawnModule()",
      tool: "deno",
      workloads: ["spawn-module"],
      command: () => deno("module.ts", "module"),
    },
  }),
);
