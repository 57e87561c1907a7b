import type { FramingOptions } from "./types.ts";

/** Default of {@linkcode FramingOptions.maxFrameLength}: 64 MiB. */
const DEFAULT_MAX_FRAME_LENGTH = 64 * 1024 * 1024;

/** Check an option that is a whole number. */
export function checkInteger(
  name: string,
  value: number,
  min: number,
  max: number,
): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(
      `Cannot use ${name}: ${value} is not an integer from ${min} to ${max}`,
    );
  }
  return value;
}

export function maxFrameLengthOf(options: FramingOptions): number {
  return checkInteger(
    "maxFrameLength",
    options.maxFrameLength ?? DEFAULT_MAX_FRAME_LENGTH,
    0,
    Number.MAX_SAFE_INTEGER,
  );
}
