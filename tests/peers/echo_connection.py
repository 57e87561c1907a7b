# Answers each message with its bytes reversed; the frames are those of multiprocessing.connection.
import os
import socket
from multiprocessing.connection import Connection

parent = socket.socket(socket.AF_UNIX)
parent.connect(os.environ.pop("SOCKETPAIR_PATH"))
parent.sendall(os.environ.pop("SOCKETPAIR_TOKEN").encode())
connection = Connection(parent.detach())

connection.send_bytes(b"hello from multiprocessing")
try:
    while True:
        connection.send_bytes(connection.recv_bytes()[::-1])
except EOFError:
    pass  # the parent has closed
