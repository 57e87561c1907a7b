import { assertEquals, assertInstanceOf } from "@std/assert";

/** Resolves when the other side has closed the connection. */
export async function dropped(conn: Deno.Conn) {
  using _ = conn;
  try {
    assertEquals(await conn.read(new Uint8Array(1)), null);
  } catch (error) {
    // It was closed with bytes unread
    assertInstanceOf(error, Deno.errors.ConnectionReset);
  }
}

export async function write(conn: Deno.Conn, text: string) {
  const bytes = new TextEncoder().encode(text);
  assertEquals(await conn.write(bytes), bytes.length);
}
