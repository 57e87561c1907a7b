import { readFileSync } from "node:fs";
import process from "node:process";

process.on("message", (message) => {
  process.send({
    secret: readFileSync(process.argv[2], "utf8"),
    isBytes: message instanceof Uint8Array,
    isArray: Array.isArray(message),
  });
});
