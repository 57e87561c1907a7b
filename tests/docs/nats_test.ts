import { assert, assertEquals } from "@std/assert";
import { TextLineStream } from "@std/streams";
import { examplesIn, makeProject, run } from "../examples.ts";
import { findNatsServer, missing } from "../programs.ts";

const PAGE = new URL("../../docs/beyond.md", import.meta.url);

const nats = await findNatsServer();

/** A NATS server on a free port of 127.0.0.1. */
async function startNats(command: string) {
  const process = new Deno.Command(command, {
    args: ["--addr", "127.0.0.1", "--port", "-1"],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const [lines, rest] = process.stderr.tee();
  const draining = rest.pipeTo(new WritableStream());
  const text = lines.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  let url: string | undefined;
  for await (const line of text) {
    url = /Listening for client connections on (\S+)/.exec(line)?.[1];
    if (url !== undefined) break;
  }
  assert(url !== undefined);
  return {
    url,
    async [Symbol.asyncDispose]() {
      process.kill();
      await process.status;
      await draining;
    },
  };
}

Deno.test({
  name: "docs/beyond.md example nats.ts moves messages to NATS, and back",
  ignore: nats.ignore,
  async fn() {
    assert(nats.command, missing);
    await using server = await startNats(nats.command);
    const directory = await makeProject(
      examplesIn(await Deno.readTextFile(PAGE)),
    );
    const printed = await run(directory, ["-A", "nats.ts"], {
      NATS_URL: server.url,
    });
    assertEquals(printed, "TACO\nCAT\n");
    await Deno.remove(directory, { recursive: true });
  },
});
