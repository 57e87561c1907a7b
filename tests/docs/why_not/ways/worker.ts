import { COUNT, LARGE, report } from "./slow.ts";

const [row = ""] = Deno.args;

function start(code: string): Worker {
  const url = `data:text/javascript,${encodeURIComponent(code)}`;
  return new Worker(url, { type: "module" });
}

async function answerOf(worker: Worker): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    resolve(event.type);
  };
  const answer = await promise;
  worker.terminate();
  return answer;
}

const rows: Record<string, () => Promise<unknown>> = {
  calls() {
    const worker = start("");
    try {
      worker.postMessage(() => {});
      return Promise.resolve("sent");
    } catch (error) {
      return Promise.resolve(error instanceof DOMException && error.name);
    } finally {
      worker.terminate();
    }
  },
  languages() {
    const url = import.meta.resolve("../../../peers/echo.py");
    return answerOf(new Worker(url, { type: "module" }));
  },
  sandbox() {
    const url = import.meta.resolve("../sandbox/thief.ts");
    return answerOf(
      new Worker(url, { type: "module", deno: { permissions: "none" } }),
    );
  },
  // The two that crash go no further than this.
  throw() {
    start("throw new Error('The child fails')");
    return new Promise(() => setTimeout(() => {}, 2 ** 30));
  },
  caught: () => answerOf(start("throw new Error('The child fails')")),
  exhaust() {
    return answerOf(
      start("for (const all = [];;) all.push(new Array(10_000).fill(1.5))"),
    );
  },
  bytes() {
    const worker = start(
      "onmessage = ({ data }) => postMessage(data instanceof Uint8Array)",
    );
    worker.postMessage(new Uint8Array([1, 2, 3]));
    return answerOf(worker);
  },
  output() {
    return answerOf(
      start("console.log('for people'); postMessage('for the parent')"),
    );
  },
  async slow() {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const worker = start(`
      let count = 0;
      onmessage = ({ data }) => {
        if (data instanceof Int32Array) Atomics.wait(data, 0, 0);
        else if (data === "how many") postMessage(count);
        else count++;
      }`);
    worker.postMessage(gate);
    let promised: unknown;
    for (let n = 0; n < COUNT; n++) promised = worker.postMessage(LARGE);
    Atomics.store(gate, 0, 1); // only now may it read
    Atomics.notify(gate, 0);
    worker.postMessage("how many");
    return { promised: typeof promised, received: await answerOf(worker) };
  },
};
report(await rows[row]?.());
