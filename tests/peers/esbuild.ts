import type { Serialization } from "../../channel.ts";

/** A value in a packet of the esbuild service. The tests need no numbers or lists. */
export type Value =
  | null
  | boolean
  | string
  | Uint8Array
  | Value[]
  | { [key: string]: Value };

export interface Packet {
  id: number;
  isRequest: boolean;
  value: Value;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function uint32(value: number): number[] {
  return [value, value >> 8, value >> 16, value >> 24];
}

function lengthed(bytes: Uint8Array): number[] {
  return [...uint32(bytes.length), ...bytes];
}

function write(value: Value): number[] {
  if (value === null) return [0];
  if (typeof value === "boolean") return [1, Number(value)];
  if (typeof value === "string") return [3, ...lengthed(encoder.encode(value))];
  if (value instanceof Uint8Array) return [4, ...lengthed(value)];
  if (Array.isArray(value)) {
    return [5, ...uint32(value.length), ...value.flatMap(write)];
  }
  const entries = Object.entries(value);
  return [
    6,
    ...uint32(entries.length),
    ...entries.flatMap((
      [key, value],
    ) => [...lengthed(encoder.encode(key)), ...write(value)]),
  ];
}

/** Packets of the esbuild service, as defined in esbuild's `lib/shared/stdio_protocol.ts`. */
export function packets(): Serialization<Packet> {
  return {
    serialize({ id, isRequest, value }) {
      return Uint8Array.from([
        ...uint32(id << 1 | Number(!isRequest)),
        ...write(value),
      ]);
    },
    deserialize(bytes) {
      const view = new DataView(bytes.buffer);
      let at = 0;
      function readUint32() {
        const value = view.getUint32(at, true);
        at += 4;
        return value;
      }
      function readBytes() {
        const length = readUint32();
        return bytes.slice(at, at += length);
      }
      function read(): Value {
        switch (bytes[at++]) {
          case 0:
            return null;
          case 1:
            return bytes[at++] === 1;
          case 3:
            return decoder.decode(readBytes());
          case 4:
            return readBytes();
          case 5:
            return Array.from({ length: readUint32() }, read);
          case 6:
            return Object.fromEntries(
              Array.from({ length: readUint32() }, () => [
                decoder.decode(readBytes()),
                read(),
              ]),
            );
          default:
            throw new SyntaxError(`Cannot read packet: what is at ${at - 1}?`);
        }
      }
      const id = readUint32();
      return { id: id >>> 1, isRequest: (id & 1) === 0, value: read() };
    },
  };
}
