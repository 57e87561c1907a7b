import os, re, socket, struct


def connect(variable):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ.pop(variable))
    connection.sendall(os.environ["SOCKETPAIR_TOKEN"].encode())
    return connection


channel = connect("SOCKETPAIR_PATH")
descriptors = connect("SOCKETPAIR_DESCRIPTORS_PATH")


def say(text):
    channel.sendall(struct.pack("=I", len(text)) + text.encode())


def hear():
    header = channel.recv(4, socket.MSG_WAITALL)
    if header:
        (length,) = struct.unpack("=I", header)
        return channel.recv(length, socket.MSG_WAITALL).decode()


def take():
    _, [descriptor], _, _ = socket.recv_fds(descriptors, 1, 1)
    return descriptor


def take_socket():
    taken = socket.socket(fileno=take())
    taken.setblocking(True)  # Deno sockets are non-blocking, and the flag is shared
    return taken


def give(*numbers):
    socket.send_fds(descriptors, [b"."], numbers)


while command := hear():
    if command == "take a file":
        with open(take()) as file:
            say(file.read())
    elif command == "take a pipe":
        with open(take(), "w") as pipe:
            pipe.write("from the peer")
    elif command == "take a connection":
        with take_socket() as connection, connection.makefile("rw") as stream:
            for line in stream:
                stream.write(line.upper())
                stream.flush()
    elif command == "take a listener":
        with take_socket() as listener:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.makefile("rb").readline().upper())
    elif match := re.match("give the file (.*)", command):
        with open(match[1], "rb", buffering=0) as file:
            file.read(5)
            give(file.fileno())
    elif command == "give a pipe":
        reader, writer = os.pipe()
        give(reader)
        os.close(reader)
        os.write(writer, b"from the peer")
        os.close(writer)
    elif command == "give a connection":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            say(str(listener.getsockname()[1]))
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())
                give(connection.fileno())
    elif command == "give a listener":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            give(listener.fileno())
    elif match := re.match(r"echo (\d+)", command):
        for _ in range(int(match[1])):
            descriptor = take()
            give(descriptor)
            os.close(descriptor)
    elif command == "count":
        say(str(len(os.listdir("/dev/fd"))))
    elif command == "give a file, a pipe and a listener at once":
        reader, writer = os.pipe()
        with open(__file__) as file, socket.create_server(("127.0.0.1", 0)) as listener:
            give(file.fileno(), reader, listener.fileno())
        os.write(writer, b"from the peer")
        os.close(reader)
        os.close(writer)
    elif command == "give a byte alone":
        descriptors.send(b".")
    elif command == "close":
        descriptors.close()
