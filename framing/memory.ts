/** Size of a block: memory for a large read, or a batch of messages. */
export const BLOCK_LENGTH = 257 * 1024;

/**
 * Size of a small buffer, for a read that may be pending for a long time or for a few short
 * messages.
 */
const SHORT_LENGTH = 2 * 1024;

/** Limits of the pool: 512 small buffers (1 MiB), and 16 MiB of larger ones. */
const MAX_FREE_SHORTS = 512;
const MAX_FREE_LENGTH = 16 * 1024 * 1024;

const freeShorts: Uint8Array<ArrayBuffer>[] = [];
const freeBlocks: Uint8Array<ArrayBuffer>[] = [];
let freeLength = 0;

/**
 * Take a buffer of at least `length` bytes from the pool shared by all channels. Its content is
 * undefined. New memory for a message of 64 KiB costs 14 us, copying it 2 us.
 */
export function takeMemory(length: number): Uint8Array<ArrayBuffer> {
  if (length <= SHORT_LENGTH) {
    return freeShorts.pop() ?? new Uint8Array(SHORT_LENGTH);
  }
  const least = Math.max(length, BLOCK_LENGTH);
  const at = freeBlocks.findLastIndex((block) =>
    block.length >= least && block.length <= 2 * least
  );
  const [block] = at === -1 ? [] : freeBlocks.splice(at, 1);
  if (block === undefined) return new Uint8Array(least);
  freeLength -= block.length;
  return block;
}

/** Return a buffer to the pool. Nothing may use it any more. */
export function giveMemory(memory: Uint8Array<ArrayBuffer>) {
  const { length } = memory;
  if (length === SHORT_LENGTH) {
    if (freeShorts.length < MAX_FREE_SHORTS) freeShorts.push(memory);
  } else if (length >= BLOCK_LENGTH && length <= MAX_FREE_LENGTH) {
    freeBlocks.push(memory);
    freeLength += length;
    while (freeLength > MAX_FREE_LENGTH) {
      freeLength -= freeBlocks.shift()?.length ?? 0;
    }
  }
}

/** How many reads of all channels together may wait between frames with a block: 4 MiB. */
const MAX_WAITING_BLOCKS = 16;

let waitingBlocks = 0;

const NO_BYTES = new Uint8Array(0);

/**
 * The bytes that have arrived and are not decoded: `bytes` from `start` to `end`, in memory of
 * this buffer or in a chunk of another owner.
 *
 * A pending read uses a small buffer; after a large read the next one gets a block.
 */
export class ReadBuffer {
  bytes: Uint8Array<ArrayBuffer> = NO_BYTES;
  start = 0;
  end = 0;
  /** Whether the last read was so large that the next one gets a block. */
  isBusy = false;
  /** Whether a message in `bytes` is lent: its memory may not change. */
  isLent = false;
  /** `bytes`, if this buffer took it from the pool. */
  #own: Uint8Array<ArrayBuffer> | undefined;
  /** The memory of the pending read. */
  #target: Uint8Array<ArrayBuffer> = NO_BYTES;
  /** Whether that read waits with a block. */
  #waitsWithBlock = false;

  /**
   * Return memory to read into.
   *
   * @param mayWait Whether the read may be pending for a long time: it is between two frames.
   */
  target(mayWait: boolean): Uint8Array<ArrayBuffer> {
    if (mayWait && this.isBusy && waitingBlocks < MAX_WAITING_BLOCKS) {
      waitingBlocks++;
      this.#waitsWithBlock = true;
    }
    if (!mayWait || this.#waitsWithBlock) {
      // A block that is more than half full is too small for the current frame.
      this.#reserve(BLOCK_LENGTH / 2);
    } else {
      if (this.#own?.length !== SHORT_LENGTH) this.clear();
      this.#reserve(SHORT_LENGTH);
    }
    return this.#target = this.end === 0
      ? this.bytes
      : this.bytes.subarray(this.end);
  }

  /** The read into {@linkcode target} has ended. */
  endRead() {
    this.#target = NO_BYTES;
    if (this.#waitsWithBlock) waitingBlocks--;
    this.#waitsWithBlock = false;
  }

  /** `length` bytes were read into {@linkcode target}. */
  advance(length: number) {
    this.isBusy = length >= SHORT_LENGTH;
    // Otherwise clear() has dropped them.
    if (this.#target.buffer === this.bytes.buffer) this.end += length;
    this.endRead();
  }

  /** Take bytes that are in other memory. */
  push(bytes: Uint8Array) {
    const { buffer, byteOffset, length } = bytes;
    if (this.start < this.end) {
      this.#reserve(length);
      this.bytes.set(bytes, this.end);
      this.end += length;
    } else {
      this.clear();
      // A plain Uint8Array: slice() of a subclass such as node's Buffer does not copy.
      this.bytes = buffer instanceof ArrayBuffer
        ? new Uint8Array(buffer, byteOffset, length)
        : new Uint8Array(bytes);
      this.end = length;
    }
  }

  /** More bytes are needed: copy what is left of a chunk, because its owner may change it. */
  keepRest() {
    if (this.start === this.end) this.clear();
    else if (this.#own === undefined) this.#reserve(0);
  }

  /** Drop what has arrived, and return its memory to the pool. */
  clear() {
    const own = this.#own;
    // Memory that a pending read or a lent message uses is left to the garbage collector.
    const isUsed = this.isLent || own?.buffer === this.#target.buffer;
    if (own !== undefined && !isUsed) giveMemory(own);
    this.#own = undefined;
    this.isLent = false;
    this.bytes = NO_BYTES;
    this.start = this.end = 0;
  }

  /** Ensure that `bytes` is memory of this buffer, with `space` free bytes after `end`. */
  #reserve(space: number) {
    const rest = this.end - this.start;
    const own = this.#own;
    if (own !== undefined && this.end + space <= own.length) return;
    const isHalfFree = own !== undefined && 2 * rest <= own.length;
    if (isHalfFree && rest + space <= own.length && !this.isLent) {
      own.copyWithin(0, this.start, this.end);
    } else {
      // Doubling makes the total cost of copying linear.
      const doubled = own !== undefined && !isHalfFree ? 2 * own.length : 0;
      const memory = takeMemory(Math.max(rest + space, doubled));
      if (rest > 0) memory.set(this.bytes.subarray(this.start, this.end));
      this.clear();
      this.bytes = this.#own = memory;
    }
    this.start = 0;
    this.end = rest;
  }
}
