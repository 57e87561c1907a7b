import type { DuplexStream } from "../../channel.ts";
import { socketPair } from "../../pair.ts";

type Pair = [DuplexStream, DuplexStream];

/** A byte stream that passes on each chunk in the same memory. */
export function bytePipe(): DuplexStream {
  let source: ReadableByteStreamController;
  let sink: WritableStreamDefaultController;
  let wanted = Promise.withResolvers<void>();
  return {
    readable: new ReadableStream({
      type: "bytes",
      start(controller) {
        source = controller;
      },
      pull: () => wanted.resolve(),
      cancel(reason) {
        sink.error(reason);
        wanted.resolve();
      },
    }),
    writable: new WritableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        sink = controller;
        sink.signal.addEventListener("abort", () => {
          source.error(sink.signal.reason);
          wanted.resolve();
        });
      },
      async write(chunk) {
        await wanted.promise;
        sink.signal.throwIfAborted();
        wanted = Promise.withResolvers();
        source.enqueue(chunk);
      },
      close() {
        source.close();
        source.byobRequest?.respond(0);
      },
    }),
  };
}

function crossed(there: DuplexStream, back: DuplexStream): Pair {
  return [
    { readable: back.readable, writable: there.writable },
    { readable: there.readable, writable: back.writable },
  ];
}

export function transformStreams(): Pair {
  return crossed(new TransformStream(), new TransformStream());
}

export function byteStreams(): Pair {
  return crossed(bytePipe(), bytePipe());
}

export async function tcpPair(): Promise<Pair> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
}

// Made for this test, and trusted by nothing else.
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBXzCCAQSgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJD/Ve/NN8d6R3vZ
rAKiIUWkGcdZ66JUldc/8L5rTKQMkfkwJxtjxA9GToRtUx+dmLf7/eef/lWSSjwn
+KefjYajRTBDMBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAMBgNVHRMBAf8EAjAAMB0G
A1UdDgQWBBTm+FFslC5yzU5IqJeM+tux1PuJyDAKBggqhkjOPQQDAgNJADBGAiEA
zmoyPmsW4ghOj8YLu+Vm7fjXFebbkOnru52lCTwaPD0CIQC/KwfoKRSvh6JMc02h
eEt0CzAFs/I/Rf4TblqK4cfY5Q==
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgydoPcCrWPH5qyTB6
7Fue/5tdjpJA+RLnpNhiYc/q1MOhRANCAASQ/1XvzTfHekd72awCoiFFpBnHWeui
VJXXP/C+a0ykDJH5MCcbY8QPRk6EbVMfnZi3+/3nn/5Vkko8J/inn42G
-----END PRIVATE KEY-----`;

export async function tlsPair(): Promise<Pair> {
  using listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: CERTIFICATE,
    key: KEY,
  });
  return await Promise.all([
    Deno.connectTls({
      hostname: "localhost",
      port: listener.addr.port,
      caCerts: [CERTIFICATE],
    }),
    listener.accept(),
  ]);
}

export const TRANSPORTS: Record<string, () => Pair | Promise<Pair>> = {
  "Unix socket": () => socketPair(),
  "transform streams": transformStreams,
  "byte streams": byteStreams,
};

export function testOver(
  name: string,
  test: (left: DuplexStream, right: DuplexStream) => Promise<void>,
  transports = TRANSPORTS,
) {
  for (const [transport, pair] of Object.entries(transports)) {
    Deno.test(`${name}, over ${transport}`, async () => {
      await test(...await pair());
    });
  }
}
