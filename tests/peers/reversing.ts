import { assert, assertEquals } from "@std/assert";
import { equals } from "@std/bytes";
import { spawn, type SpawnOptions } from "../../pair.ts";

function random(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const most = 65_536; // what getRandomValues() fills at a time
  for (let start = 0; start < length; start += most) {
    crypto.getRandomValues(bytes.subarray(start, start + most));
  }
  return bytes;
}

/** Start a program that sends a greeting, then answers each message with its bytes reversed. */
export async function assertReverses(
  command: string,
  options: SpawnOptions,
  greeting: string,
) {
  const messages = [
    new Uint8Array(),
    random(1),
    new TextEncoder().encode("taco cat"),
    Uint8Array.from({ length: 256 }, (_, byte) => byte),
    random(70_000),
    random(3 * 1024 * 1024),
    new Uint8Array(),
  ];
  await using child = await spawn(command, options);
  const { channel } = child;
  const first = await channel.receive();
  assert(first);
  assertEquals(new TextDecoder().decode(first), greeting);

  // Concurrently, because the peer stops reading while its answers are not received
  const [answers] = await Promise.all([
    Array.fromAsync(channel),
    (async () => {
      for (const message of messages) await channel.send(message);
      await channel.closeWrite();
    })(),
  ]);

  assertEquals(
    answers.map((answer) => answer.length),
    messages.map((message) => message.length),
  );
  for (const [index, message] of messages.entries()) {
    const answer = answers[index];
    assert(answer && equals(answer, message.toReversed()));
  }
  assertEquals((await child.close()).success, true);
}
