/// <reference lib="deno.worker" />
/** Waits for a descriptor until it is terminated, and reports how it calls poll(). */
const { dlopen } = Deno;
Object.defineProperty(Deno, "dlopen", {
  value(...[name, symbols]: Parameters<typeof dlopen>) {
    const library = dlopen(name, symbols);
    const { pollInThread } = library.symbols;
    if (typeof pollInThread !== "function") return library;
    const poll = (
      memory: Deno.PointerValue | DataView<ArrayBuffer>,
      count: bigint,
      timeout: number,
    ) => {
      const pointer = memory instanceof DataView
        ? Deno.UnsafePointer.of(memory.buffer)
        : memory;
      const address = Deno.UnsafePointer.value(pointer);
      self.postMessage({ address, timeout });
      // Long enough to be still in progress after the Worker was terminated
      return pollInThread(memory, count, 10_000);
    };
    return {
      symbols: { ...library.symbols, pollInThread: poll },
      close: () => library.close(),
    };
  },
});
const { DescriptorSocket } = await import("../../../descriptors.ts");

self.onmessage = ({ data: descriptor }: MessageEvent) => {
  new DescriptorSocket(descriptor).receive();
};
