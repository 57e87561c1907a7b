/** Functions of the C library that the tests use. */

const isLinux = Deno.build.os === "linux";
const { symbols } = Deno.dlopen(
  isLinux ? "libc.so.6" : "/usr/lib/libSystem.B.dylib",
  {
    pipe: { parameters: ["buffer"], result: "i32" },
    dup: { parameters: ["i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    ioctl: { parameters: ["i32", "usize"], result: "i32" },
    socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
    lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
    fcntl: { parameters: ["i32", "i32"], result: "i32" },
    getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
    setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  },
);

const FIOCLEX = isLinux ? 0x5451n : 0x20006601n;
const RLIMIT_NOFILE = isLinux ? 7 : 8;

function two(ends: Int32Array): [number, number] {
  const [first, second] = ends;
  if (!first || !second) throw new Error("Cannot make two descriptors");
  for (const end of ends) symbols.ioctl(end, FIOCLEX);
  return [first, second];
}

/** Create a pipe: the end to read from, and the end to write to. */
export function pipe(): [number, number] {
  const ends = new Int32Array(2);
  symbols.pipe(ends);
  return two(ends);
}

/** Create two connected Unix stream sockets. */
export function socketPair(): [number, number] {
  const ends = new Int32Array(2);
  symbols.socketpair(1, 1, 0, ends);
  return two(ends);
}

/** Get the position, which all descriptors of the same open file share. */
export function position(descriptor: number): number {
  return Number(symbols.lseek(descriptor, 0n, 1));
}

export function isOpen(descriptor: number): boolean {
  return symbols.fcntl(descriptor, 1) !== -1;
}

export function isCloseOnExec(descriptor: number): boolean {
  return symbols.fcntl(descriptor, 1) === 1;
}

/** Count the open descriptors of this process, without those of Deno's caches. */
export function openCount(): number {
  return openTargets().length;
}

/**
 * List the files and sockets that are open. Those of Deno's caches are left out, because Deno
 * opens them at any time.
 */
export function openTargets(): string[] {
  const targets = Deno.readDirSync("/dev/fd").map(({ name }) => {
    try {
      return Deno.readLinkSync(`/dev/fd/${name}`);
    } catch {
      return name;
    }
  }).toArray();
  const cache = targets.find((target) => /_cache_v\d+$/.test(target))
    ?.replace(/\/[^/]*$/, "");
  return targets.filter((target) =>
    cache === undefined || !target.startsWith(cache)
  );
}

/** Call a function while this process cannot open any more descriptors. */
export async function withNoneFree<T>(act: () => Promise<T>): Promise<T> {
  const limits = new BigUint64Array(2);
  symbols.getrlimit(RLIMIT_NOFILE, limits);
  const lowest = symbols.dup(0);
  symbols.close(lowest);
  const [, hard = 0n] = limits;
  symbols.setrlimit(RLIMIT_NOFILE, new BigUint64Array([BigInt(lowest), hard]));
  try {
    return await act();
  } finally {
    symbols.setrlimit(RLIMIT_NOFILE, limits);
  }
}
