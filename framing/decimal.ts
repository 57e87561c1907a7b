/** Decimal digits of `Number.MAX_SAFE_INTEGER`. */
export const MAX_DIGITS = 16;

/** Write a whole number in ASCII at `start`, and return how many bytes it took. */
export function encodeDecimal(
  value: number,
  bytes: Uint8Array,
  start: number,
): number {
  const digits = String(value);
  for (let i = 0; i < digits.length; i++) {
    bytes[start + i] = digits.charCodeAt(i);
  }
  return digits.length;
}
