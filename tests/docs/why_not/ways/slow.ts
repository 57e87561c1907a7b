/** What all ways do with a child that does not read. */
import process from "node:process";

export const LARGE = "x".repeat(2 ** 20);
export const COUNT = 64;

/**
 * Send to a child that is stopped, until something else has happened that took thousands of turns of the event loop, then
 * let it go on. What a stopped child has not read is in no pipe or socket of any system: these hold less than a message.
 */
export async function sendToStopped(
  pid: number,
  send: (message: string) => Promise<unknown>,
): Promise<number> {
  process.kill(pid, "SIGSTOP");
  let resolved = 0;
  const sent = Array.from(
    { length: COUNT },
    () => send(LARGE).then(() => resolved++),
  );
  await new Deno.Command(Deno.execPath(), { args: ["eval", ""] }).output();
  const meanwhile = resolved;
  process.kill(pid, "SIGCONT");
  await Promise.all(sent);
  return meanwhile;
}

export function report(result: unknown) {
  console.log(JSON.stringify(result));
}
