# A child of pair_test.ts and soak_test.ts: runs the Python in its argument, with these functions at hand.
# What lies under signal and socket: 11 ms to load instead of 21, and the soak starts hundreds.
import os, struct, sys
import _signal as signal, _socket as socket

parent = None

# A byte for each signal that has a handler
signals, wakeup = os.pipe()
os.set_blocking(wakeup, False)
signal.set_wakeup_fd(wakeup)


class Stdio:
    """Standard input and output, as far as a socket is used here."""

    def sendall(self, data):
        while data:
            data = data[os.write(1, data) :]

    def recv(self, length, flags):
        data = b""
        while len(data) < length and (more := os.read(0, length - len(data))):
            data += more
        return data

    def shutdown(self, how):
        os.dup2(2, 1)

    def close(self):
        os.dup2(2, 1)
        os.dup2(2, 0)


def dial():
    """Connect to the parent, and send no token."""
    if os.environ.get("SOCKETPAIR_PATH"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(os.environ["SOCKETPAIR_PATH"])
    else:
        connection = socket.socket(socket.AF_INET)
        # Else the system drops what it holds back when a child ends that has not read everything
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect(("127.0.0.1", int(os.environ["SOCKETPAIR_PORT"])))
    return connection


def token():
    return os.environ["SOCKETPAIR_TOKEN"].encode()


def connect():
    global parent
    if "SOCKETPAIR_TOKEN" in os.environ:
        parent = dial()
        parent.sendall(token())
    else:
        parent = Stdio()


def frame(message):
    return struct.pack("=I", len(message)) + message


def send(message, to=None):
    (to or parent).sendall(frame(message))


def receive(of=None):
    """The next message, or None at the end."""
    header = (of or parent).recv(4, socket.MSG_WAITALL)
    if not header:
        return None
    (length,) = struct.unpack("=I", header)
    return (of or parent).recv(length, socket.MSG_WAITALL)


def echo():
    while (message := receive()) is not None:
        send(message)


def pause():
    """Wait for a signal that has a handler; signal.pause() would miss one that has just come."""
    os.read(signals, 1)


def obey():
    """Tell the test where the parent waits, and then run what the test says."""
    import json

    test = socket.socket(socket.AF_UNIX)
    test.connect(os.environ["TEST_PATH"])
    names = ["PATH", "PORT", "TOKEN"]
    hello = {name: os.environ.get("SOCKETPAIR_" + name) for name in names}
    send(json.dumps({"pid": os.getpid(), **hello}).encode(), test)
    while (code := receive(test)) is not None:
        exec(code.decode(), globals())
        send(json.dumps(globals().pop("answer", None)).encode(), test)


if __name__ == "__main__":
    exec(sys.argv[1], globals())
