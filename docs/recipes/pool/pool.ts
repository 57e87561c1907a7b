import { type Child, json, spawnModule } from "@socketpair/socketpair";

const url = import.meta.resolve("./sandbox/child.ts");
type Worker = Child<number> | undefined; // undefined: start one

/** Runs each job in one of a few children. */
export class Pool implements AsyncDisposable {
  readonly #alive = new Set<Worker>();
  readonly #free: Worker[];
  readonly #waiting = new Set<(worker: Worker) => void>();

  constructor(size = navigator.hardwareConcurrency) {
    this.#free = Array.from({ length: size }, () => undefined);
  }

  /** Run a job. If its child crashes, this job alone rejects, with the `ExitError`. */
  async run(job: number, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    const isFree = this.#free.length > 0;
    let worker = isFree ? this.#free.pop() : await this.#wait(signal);
    try {
      if (!worker || !this.#alive.has(worker)) worker = await this.#start();
      await worker.channel.send(job);
      const result = await worker.channel.receive({ signal });
      if (result === null) throw new Error("The child exited");
      return result;
    } catch (error) {
      // It crashed, or it still works on a cancelled job.
      worker?.kill("SIGKILL");
      await worker?.close();
      worker = undefined;
      throw error;
    } finally {
      const [next = (worker: Worker) => this.#free.push(worker)] =
        this.#waiting;
      this.#waiting.delete(next);
      next(worker);
    }
  }

  #wait(signal?: AbortSignal): Promise<Worker> {
    const { promise, resolve, reject } = Promise.withResolvers<Worker>();
    this.#waiting.add(resolve);
    signal?.addEventListener("abort", () => {
      if (this.#waiting.delete(resolve)) reject(signal.reason);
    });
    return promise;
  }

  async #start() {
    const child = await spawnModule(url, { serialization: json<number>() });
    this.#alive.add(child);
    child.status.then(() => this.#alive.delete(child));
    return child;
  }

  async [Symbol.asyncDispose]() {
    await Promise.all([...this.#alive].map((worker) => worker?.close()));
  }
}
