/** The child of `fork()` and of execa: it does what its first argument says. */
import { readFileSync } from "node:fs";
import process from "node:process";

const [task, path] = process.argv.slice(2);

function exhaust() {
  const all = [];
  for (;;) all.push(new Array(10_000).fill(1.5));
}

let count = 0;
process.on("message", (message) => {
  count++;
  switch (task) {
    case "secret":
      return process.send(readFileSync(path, "utf8"));
    case "throw":
      throw new Error("The child fails");
    case "exhaust":
      return exhaust();
    case "function":
      return process.send(typeof message.add === "function");
    case "bytes":
      return process.send({
        isBytes: message instanceof Uint8Array,
        isArray: Array.isArray(message),
      });
    case "print":
      console.log("for people");
      return process.send("for the parent");
    case "count":
      if (message === "how many") process.send(count - 1);
  }
});
process.send("up");
