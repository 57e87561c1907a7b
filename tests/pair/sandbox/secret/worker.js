// A worker that lies outside of every child's directory.
self.postMessage("a secret beside the sandbox");
