/** Bytes of a block: what a read or a batch of messages has room for. */
export const BLOCK_LENGTH = 257 * 1024;

/** Free memory that is kept: blocks, and pieces for large messages, in bytes. */
const MAX_FREE_BLOCKS = 8;
const MAX_FREE_LENGTH = 16 * 1024 * 1024;

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
  if (length <= BLOCK_LENGTH) {
    return freeBlocks.pop() ?? new Uint8Array(BLOCK_LENGTH);
  }
  const at = freePieces.findLastIndex((piece) => piece.length >= length);
  const [piece] = at === -1 ? [] : freePieces.splice(at, 1);
  if (piece === undefined) return new Uint8Array(length);
  freeLength -= piece.length;
  return piece;
}

/** Give memory back that nobody looks at any more. Other memory is left to V8. */
export function giveMemory(memory: Uint8Array<ArrayBuffer>) {
  const { length, buffer } = memory;
  if (length < BLOCK_LENGTH || length !== buffer.byteLength) return;
  if (length === BLOCK_LENGTH) {
    if (freeBlocks.length < MAX_FREE_BLOCKS) freeBlocks.push(memory);
    return;
  }
  if (length > MAX_FREE_LENGTH) return;
  freePieces.push(memory);
  freeLength += length;
  while (freeLength > MAX_FREE_LENGTH) {
    freeLength -= freePieces.shift()?.length ?? 0;
  }
}
