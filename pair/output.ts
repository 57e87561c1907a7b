/** Runs a program for its output. */

export interface Output {
  readonly success: boolean;
  readonly stdout: string;
  /** Empty if the options discard it. */
  readonly stderr: string;
}

/**
 * Run a program to its end, and kill it if its signal is aborted or its output is too long. If
 * SIGCHLD is ignored, the exit status is unknown, and taken for success.
 *
 * @throws {RangeError} If it writes more than `maxLength` bytes to standard output.
 */
export async function outputOf(
  command: string,
  { signal = new AbortController().signal, ...options }: Deno.CommandOptions,
  maxLength = Infinity,
): Promise<Output> {
  const process = new Deno.Command(command, {
    stderr: "piped",
    ...options,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const kill = () => {
    try {
      process.kill("SIGKILL");
    } catch {
      // It has exited.
    }
  };
  signal.addEventListener("abort", kill);
  try {
    // The signal ends reading, too: another process can hold the pipe.
    const limited = process.stdout.pipeThrough(atMost(maxLength), { signal });
    const [stdout, stderr, success] = await Promise.all([
      new Response(limited).text(),
      options.stderr === "null" ? "" : new Response(process.stderr).text(),
      process.status.then(({ success }) => success, () => true),
    ]);
    signal.throwIfAborted();
    return { success, stdout, stderr };
  } catch (error) {
    kill();
    await process.status.catch(() => {});
    throw error;
  } finally {
    // A timer with a listener keeps this process alive.
    signal.removeEventListener("abort", kill);
  }
}

function atMost(maxLength: number): TransformStream<Uint8Array, Uint8Array> {
  let length = 0;
  return new TransformStream({
    transform(chunk, controller) {
      length += chunk.length;
      if (length > maxLength) throw new RangeError("The output is too long");
      controller.enqueue(chunk);
    },
  });
}
