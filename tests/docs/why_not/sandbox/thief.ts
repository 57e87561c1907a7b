/** Sends a file that it was not granted to the process that started it. */
import secret from "../secret.txt" with { type: "text" };

if ("postMessage" in self && typeof self.postMessage === "function") {
  self.postMessage(secret);
} else {
  console.log(secret);
}
