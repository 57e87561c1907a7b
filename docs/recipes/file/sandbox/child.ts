import { connectToParent } from "@socketpair/socketpair";

// It gets bytes, so it needs no permission for the files.
const parent = await connectToParent();
await parent.readable
  .pipeThrough(new CompressionStream("gzip"))
  .pipeTo(parent.writable);
