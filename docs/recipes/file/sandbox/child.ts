import { connectToParent } from "@socketpair/socketpair";

// It needs no permission for the files: it sees bytes.
const parent = await connectToParent();
await parent.readable
  .pipeThrough(new CompressionStream("gzip"))
  .pipeTo(parent.writable);
