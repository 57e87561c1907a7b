import secret from "../secret.txt" with { type: "text" };

self.postMessage(secret);
