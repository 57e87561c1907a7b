/** Bytes of a block: what a read or a batch of messages has room for. */
export const BLOCK_LENGTH = 257 * 1024;

/** Bytes of a short: what a read that may wait for long has room for, or a few short messages. */
const SHORT_LENGTH = 2 * 1024;

/** Free memory that is kept: shorts (1 MiB), blocks, and pieces for large messages, in bytes. */
const MAX_FREE_SHORTS = 512;
const MAX_FREE_BLOCKS = 8;
const MAX_FREE_LENGTH = 16 * 1024 * 1024;

const freeShorts: Uint8Array<ArrayBuffer>[] = [];
const freeBlocks: Uint8Array<ArrayBuffer>[] = [];
/** Pieces of other lengths, all longer than a block. */
const freePieces: Uint8Array<ArrayBuffer>[] = [];
let freeLength = 0;

/**
 * Take memory of at least `length` bytes, which are not zeros. It belongs to all channels
 * together: what is used again is warm. Fresh memory for a message of 64 KiB costs 14 us,
 * copying it 2.
 */
export function takeMemory(length: number): Uint8Array<ArrayBuffer> {
  if (length <= SHORT_LENGTH) {
    return freeShorts.pop() ?? new Uint8Array(SHORT_LENGTH);
  }
  if (length <= BLOCK_LENGTH) {
    return freeBlocks.pop() ?? new Uint8Array(BLOCK_LENGTH);
  }
  const at = freePieces.findLastIndex((piece) => piece.length >= length);
  const [piece] = at === -1 ? [] : freePieces.splice(at, 1);
  if (piece === undefined) return new Uint8Array(length);
  freeLength -= piece.length;
  return piece;
}

/** Give memory back that {@linkcode takeMemory} returned, and that nobody looks at any more. */
export function giveMemory(memory: Uint8Array<ArrayBuffer>) {
  const { length } = memory;
  if (length === SHORT_LENGTH) {
    if (freeShorts.length < MAX_FREE_SHORTS) freeShorts.push(memory);
  } else if (length === BLOCK_LENGTH) {
    if (freeBlocks.length < MAX_FREE_BLOCKS) freeBlocks.push(memory);
  } else if (length > BLOCK_LENGTH && length <= MAX_FREE_LENGTH) {
    freePieces.push(memory);
    freeLength += length;
    while (freeLength > MAX_FREE_LENGTH) {
      freeLength -= freePieces.shift()?.length ?? 0;
    }
  }
}

/** Blocks that reads between two frames may wait with, of all channels together: 4 MiB. */
const MAX_WAITING_BLOCKS = 16;

let waitingBlocks = 0;

/** Pieces of memory that a buffer keeps to be used again once nobody looks at them. */
const MAX_RETIRED = 4;

const NO_BYTES = new Uint8Array(0);

/**
 * What has arrived and is not decoded: `bytes` from `start` to `end`. They are in memory of this
 * buffer, or in a chunk of somebody else's.
 *
 * A read that waits has little memory, and one that follows upon a read of much has a block. Where
 * messages are lent, the memory that they are in is not written to before the next turn but
 * one.
 */
export class ReadBuffer {
  bytes: Uint8Array<ArrayBuffer> = NO_BYTES;
  start = 0;
  end = 0;
  /** Whether the last read brought so much that the next one should have a block. */
  isBusy = false;
  /** `bytes`, if it is memory of this buffer. */
  #own: Uint8Array<ArrayBuffer> | undefined;
  /** What the last {@linkcode target} returned, while the read goes on. */
  #target: Uint8Array<ArrayBuffer> = NO_BYTES;
  /** Whether that read may wait with a block. */
  #waitsWithBlock = false;

  /** Counts calls of {@linkcode turn}. */
  #turn = 0;
  /** The turn in which a message was last lent from `bytes`. */
  #lentTurn = -2;
  /** Memory from which a message was lent, and in which turn. */
  #retired: { memory: Uint8Array<ArrayBuffer>; turn: number }[] = [];

  /**
   * Return memory to read to.
   *
   * @param mayWait Whether the read may wait for long: it is between two frames.
   */
  target(mayWait: boolean): Uint8Array<ArrayBuffer> {
    if (mayWait && this.isBusy && waitingBlocks < MAX_WAITING_BLOCKS) {
      waitingBlocks++;
      this.#waitsWithBlock = true;
    }
    if (!mayWait || this.#waitsWithBlock) {
      // A block that is more than half full is too small for what is being read.
      this.#reserve(BLOCK_LENGTH / 2);
    } else {
      // Blocks from which a message was lent are left to V8.
      if (this.#isLocked && this.#own?.length !== SHORT_LENGTH) {
        this.#own = undefined;
      }
      if (this.#retired.length > 0) {
        this.#retired = this.#retired.filter(({ memory }) =>
          memory.length === SHORT_LENGTH
        );
      }
      this.#reserve(SHORT_LENGTH);
    }
    return this.#target = this.end === 0
      ? this.bytes
      : this.bytes.subarray(this.end);
  }

  /** The read into {@linkcode target} is over. */
  endRead() {
    this.#target = NO_BYTES;
    if (this.#waitsWithBlock) waitingBlocks--;
    this.#waitsWithBlock = false;
  }

  /** So many bytes were read to what {@linkcode target} returned. */
  advance(length: number) {
    this.isBusy = length >= SHORT_LENGTH;
    // Otherwise they have been forgotten.
    if (this.#target.buffer === this.bytes.buffer) this.end += length;
    this.endRead();
  }

  /** Take bytes that are elsewhere. */
  push(bytes: Uint8Array) {
    const { buffer, byteOffset, length } = bytes;
    if (this.start < this.end) {
      this.#reserve(length);
      this.bytes.set(bytes, this.end);
      this.end += length;
    } else {
      this.clear();
      // A view of it, as a subclass such as node's Buffer has a slice() that does not copy.
      this.bytes = buffer instanceof ArrayBuffer
        ? new Uint8Array(buffer, byteOffset, length)
        : new Uint8Array(bytes);
      this.end = length;
    }
  }

  /** A message in `bytes` is lent to a receiver. */
  lend() {
    this.#lentTurn = this.#turn;
  }

  /**
   * The receiver asks again. What was lent before the last turn may be written to from now on:
   * what was lent since may not have been looked at, as calls may overlap.
   */
  turn() {
    this.#turn++;
    for (
      let first;
      (first = this.#retired[0]) !== undefined && first.turn < this.#turn - 1;
    ) {
      this.#retired.shift();
      giveMemory(first.memory);
    }
  }

  /** More bytes are needed: keep what there is, as a chunk of somebody else's may change. */
  keepRest() {
    if (this.start < this.end) {
      if (this.#own === undefined) this.#reserve(0);
    } else if (!this.#isLocked || this.#own === undefined) this.clear();
  }

  /** Forget what has arrived, and give back the memory that nobody looks at. */
  clear() {
    const own = this.#own;
    // A read that is under way may still write to it: then it is left to V8.
    if (own !== undefined && own.buffer !== this.#target.buffer) {
      if (!this.#isLocked) giveMemory(own);
      // While calls overlap there is no turn: then it is left to V8, too.
      else if (this.#retired.length < MAX_RETIRED) {
        this.#retired.push({ memory: own, turn: this.#lentTurn });
      }
    }
    this.#own = undefined;
    this.#lentTurn = -2;
    this.bytes = NO_BYTES;
    this.start = this.end = 0;
  }

  /** Whether what was lent from `bytes` may still be looked at. */
  get #isLocked(): boolean {
    return this.#lentTurn >= this.#turn - 1;
  }

  /** See to it that `bytes` is memory of this buffer, with so much room at its end. */
  #reserve(room: number) {
    const rest = this.end - this.start;
    const own = this.#own;
    if (own !== undefined && this.end + room <= own.length) return;
    const isHalfFree = own !== undefined && 2 * rest <= own.length;
    if (isHalfFree && rest + room <= own.length && !this.#isLocked) {
      own.copyWithin(0, this.start, this.end);
    } else {
      // Doubled where it is too small, so that the cost of copying is linear.
      const doubled = own !== undefined && !isHalfFree ? 2 * own.length : 0;
      const length = Math.max(rest + room, doubled);
      const memory = takeMemory(length);
      if (rest > 0) memory.set(this.bytes.subarray(this.start, this.end));
      this.clear();
      this.bytes = this.#own = memory;
    }
    this.start = 0;
    this.end = rest;
  }
}
