import { assertEquals, assertNotEquals } from "@std/assert";
import { MessageBuffer } from "../../descriptors/message.ts";

/** Where `struct msghdr` has `msg_control` and `msg_controllen`. */
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;

// On macOS sendmsg() fails with EINVAL where there is a pointer and no length
Deno.test("MessageBuffer.write() points to a control message only if there is one", () => {
  const message = new MessageBuffer();
  const view = new DataView(message.bytes.buffer);
  const control = () => view.getBigUint64(MSG_CONTROL, true);
  const length = () => view.getUint32(MSG_CONTROLLEN, true);
  const bytes = Uint8Array.of(1);

  message.write(bytes);
  assertEquals([control(), length()], [0n, 0]);
  message.write(bytes, 3);
  assertNotEquals(control(), 0n);
  assertNotEquals(length(), 0);
  message.write(bytes);
  assertEquals([control(), length()], [0n, 0]);
  message.clear(1);
  assertNotEquals(control(), 0n);
  message.write(bytes);
  assertEquals([control(), length()], [0n, 0]);
});
