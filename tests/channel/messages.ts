import { concat } from "@std/bytes";
import { text } from "../../channel.ts";

export function numbered(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i % 251;
  return bytes;
}

export function frame(message: Uint8Array): Uint8Array {
  const header = new Uint8Array(new Uint32Array([message.length]).buffer);
  return concat([header, message]);
}

export function header(length: number): Uint8Array {
  return new Uint8Array(new Uint32Array([length]).buffer);
}

export async function writeAll(conn: Deno.Conn, bytes: Uint8Array) {
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

export async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  const chunks = [];
  const buffer = new Uint8Array(65536);
  for (let read; (read = await conn.read(buffer)) !== null;) {
    chunks.push(buffer.slice(0, read));
  }
  return concat(chunks);
}

export const STRINGS = { serialization: text() };
export const A = new Uint8Array([1]);
export const B = new Uint8Array([2]);
export const C = new Uint8Array([3]);
