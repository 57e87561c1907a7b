// Calls of add() in a child, one after the other, over the same channel: by JsonRpc, or by a library of others. "hand"
// is a message each way without a library.
//
// usage: deno run -A calls.ts hand|jsonrpc|birpc|comlink|capnweb calls SIZE COUNT WARM

import { createBirpc } from "birpc";
import { RpcSession, RpcTarget } from "capnweb";
import * as Comlink from "comlink";
import { transportOf } from "../../../docs/rpc/transport.ts";
import { JsonRpc } from "../../../jsonrpc.ts";
import {
  type Channel,
  connectToParent,
  json,
  type Serialization,
  spawn,
  structured,
  text,
} from "../../../mod.ts";

const methods = { add: (a: number, b: number) => a + b };

class Target extends RpcTarget {
  add(a: number, b: number): number {
    return a + b;
  }
}

type Add = (a: number, b: number) => Promise<number>;

/** How a side of one way starts: the child's offers add(), the parent's returns it. */
interface Way<Message> {
  serialization: Serialization<Message>;
  offer(parent: Channel<Message>): void;
  use(child: Channel<Message>): Add;
}

interface Hand {
  id: number;
  params: [number, number];
  result: number;
}

/** What Comlink needs of a `MessagePort`. */
function portOf(channel: Channel<unknown>): Comlink.Endpoint {
  const target = new EventTarget();
  void forEach(
    channel,
    (data) => target.dispatchEvent(new MessageEvent("message", { data })),
  );
  return {
    postMessage: (message) => void channel.send(message),
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  };
}

async function forEach<Message>(
  channel: Channel<Message>,
  use: (message: Message) => void,
) {
  for await (const message of channel) use(message);
}

function birpc(channel: Channel<unknown>) {
  return createBirpc<typeof methods, typeof methods>(methods, {
    post: (message) => void channel.send(message),
    on: (use) => void forEach(channel, use),
  });
}

const hand: Way<Partial<Hand>> = {
  serialization: json(),
  offer: (parent) =>
    void forEach(parent, ({ id, params }) => {
      if (id && params) {
        void parent.send({ id, result: methods.add(...params) });
      }
    }),
  use(child) {
    const calls = new Map<number, (result: number) => void>();
    let last = 0;
    void forEach(child, ({ id = 0, result = NaN }) => {
      calls.get(id)?.(result);
      calls.delete(id);
    });
    return (...params) => {
      const id = ++last;
      void child.send({ id, params });
      return new Promise((resolve) => calls.set(id, resolve));
    };
  },
};

const ways = {
  jsonrpc: {
    serialization: json(),
    offer: (parent) => void new JsonRpc(parent, { methods }),
    use: (child) => new JsonRpc<typeof methods>(child).remote.add,
  },
  birpc: {
    serialization: json(),
    offer: birpc,
    use: (child) => {
      const { add } = birpc(child);
      return add;
    },
  },
  comlink: {
    serialization: structured(),
    offer: (parent) => Comlink.expose(methods, portOf(parent)),
    use: (child) => Comlink.wrap<typeof methods>(portOf(child)).add,
  },
} satisfies Record<string, Way<unknown>>;

const capnweb: Way<string> = {
  serialization: text(),
  offer: (parent) => void new RpcSession(transportOf(parent), new Target()),
  use(child) {
    const main = new RpcSession<Target>(transportOf(child)).getRemoteMain();
    return async (a, b) => await main.add(a, b);
  },
};

const isChild = Deno.args[0] === "child";
const [way = "", _workload, ...numbers] = Deno.args.slice(isChild ? 1 : 0);
const [_size = 0, count = 0, warm = 0] = numbers.map(Number);

async function run<Message>({ serialization, offer, use }: Way<Message>) {
  if (isChild) return offer(await connectToParent({ serialization }));
  await using child = await spawn(Deno.execPath(), {
    args: ["run", "-A", import.meta.filename ?? "", "child", way],
    serialization,
  });
  const add = use(child.channel);
  async function call(times: number) {
    for (let n = 0; n < times; n++) {
      if (await add(n, 1) !== n + 1) throw new Error("The sum is wrong");
    }
  }
  await call(warm);
  const began = performance.now();
  await call(count);
  const seconds = (performance.now() - began) / 1000;
  console.log(JSON.stringify({ messages: count, seconds }));
  child.kill("SIGKILL"); // Not every library ends with its channel.
}

if (way === "hand") await run(hand);
else if (way === "capnweb") await run(capnweb);
else if (way === "jsonrpc" || way === "birpc" || way === "comlink") {
  await run<unknown>(ways[way]);
} else throw new Error(`There is no way ${way}`);
