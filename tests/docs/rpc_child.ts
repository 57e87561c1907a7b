import { RpcSession, RpcTarget } from "capnweb";
import { transportOf } from "../../docs/rpc/transport.ts";
import { connectToParent, text } from "../../mod.ts";

export class Factory extends RpcTarget {
  #made = 0;

  /** The number of pieces made so far. */
  made(): number {
    return this.#made;
  }

  /** Makes pieces of 16 KiB on demand. */
  pieces(count: number): ReadableStream<string> {
    return new ReadableStream({
      pull: (controller) => {
        if (this.#made === count) return controller.close();
        controller.enqueue(`${this.#made++}`.padEnd(16 * 1024));
      },
    }, { highWaterMark: 0 });
  }

  async add(
    numbers: number[],
    add: (a: number, b: number) => number,
  ): Promise<number> {
    let sum = 0;
    for (const number of numbers) sum = await add(sum, number);
    return sum;
  }

  fail(): never {
    throw new RangeError("out of range");
  }

  burn(): never {
    Deno.exit(3);
  }
}

const parent = await connectToParent({ serialization: text() });
new RpcSession(transportOf(parent), new Factory());
