/** Tells a file that is none of its business, to whoever has started it. */
import secret from "../secret.txt" with { type: "text" };

if ("postMessage" in self && typeof self.postMessage === "function") {
  self.postMessage(secret);
} else {
  console.log(secret);
}
