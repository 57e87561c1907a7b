/**
 * Lengths in bytes of the messages that {@linkcode triggerScavenge} counts: shorter ones leave
 * enough garbage on the heap by themselves, and longer ones gain nothing.
 */
const MIN_LENGTH = 16 * 1024;
const MAX_LENGTH = 2 * 1024 * 1024;

/** Bytes of such messages between two collections. */
const COLLECTION_INTERVAL = 6 * 1024 * 1024;

/** Of a number of 2.25 MB: more than V8's young generation holds at first, 1 or 2 MiB. */
const GARBAGE_BITS = 18_000_000n;

/** Bytes: nearly the largest block whose release raises glibc's `M_MMAP_THRESHOLD`. */
const MMAP_THRESHOLD_BLOCK = 32 * 1024 * 1024 - 64 * 1024;

/** Bytes of such messages handed out since the last collection. */
let uncollected = 0;
let isThresholdRaised = false;

/**
 * Count a message that was handed out in memory of its own, and have V8 collect those that
 * nobody holds any more. Their memory is outside its heap, and nothing starts a collection of
 * the young generation until 64 MiB of it are in use. A large number that becomes garbage at
 * once starts one; both take about 0.1 ms, and messages then come to memory that is still in
 * the cache. Where the heap has grown to tens of MiB, V8 goes on as without it.
 *
 * The memory must not go back to the system meanwhile: a page fault costs as much as filling
 * the page. glibc keeps up to 64 MiB of it once a block of nearly 32 MiB was released; that
 * block is never touched, so it costs a mapping and no memory.
 *
 * Both together, against neither, in one run: messages of 64 KiB and of 1 MiB 1.4 times as fast,
 * of 4 MiB no faster.
 */
export function triggerScavenge(messageLength: number) {
  if (messageLength < MIN_LENGTH || messageLength > MAX_LENGTH) return;
  uncollected += messageLength;
  if (uncollected < COLLECTION_INTERVAL) return;
  uncollected = 0;
  // Unless it is looked at, V8 does not make it.
  if (1n << GARBAGE_BITS === 0n) return;
  if (isThresholdRaised) return;
  isThresholdRaised = true;
  try {
    new ArrayBuffer(MMAP_THRESHOLD_BLOCK);
  } catch {
    // The process may not map as much.
  }
}
