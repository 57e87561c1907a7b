import os, socket, struct

parent = socket.socket(socket.AF_UNIX)
parent.connect(os.environ.pop("SOCKETPAIR_PATH"))
parent.sendall(os.environ.pop("SOCKETPAIR_TOKEN").encode())
stream = parent.makefile("rb")

def send(message):
    parent.sendall(struct.pack("=I", len(message)) + message)

send(b"hello from python")
while header := stream.read(4):
    (length,) = struct.unpack("=I", header)
    message = stream.read(length)
    if len(message) < length:
        raise EOFError
    send(message[::-1])
