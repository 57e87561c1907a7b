/** Runs a program for what it prints. */

import { messageOf } from "./environment.ts";

/** What a program has printed, and whether it has succeeded. */
export interface Output {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run a program to its end. Where SIGCHLD is ignored, its status is unknown, and taken for success. */
export async function outputOf(
  command: string,
  options: Deno.CommandOptions,
): Promise<Output> {
  const process = new Deno.Command(command, {
    ...options,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [stdout, stderr, success] = await Promise.all([
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
    process.status.then(({ success }) => success, (error) => {
      // ECHILD
      if (!/\(os error 10\)/.test(messageOf(error))) throw error;
      return true;
    }),
  ]);
  return { success, stdout, stderr };
}
