"""Python's multiprocessing.Pipe and Process, with send_bytes and recv_bytes, which pickle nothing; records are
pickled by send and recv.

usage: python3 python.py WORKLOAD SIZE COUNT WARM
"""

import json
import os
import sys
from multiprocessing import Pipe, get_context
from threading import Thread
from time import perf_counter, sleep

PAUSE_EVERY = 8 << 20
PAUSE = 0.01
EXCHANGES = 100

workload = sys.argv[1]
size, count, warm = map(int, sys.argv[2:])
slow = workload == "slow"
message = b"x" * size
records = []
if workload == "records":
    with open(os.environ["BENCH_RECORDS"], encoding="utf-8") as file:
        records = json.load(file)


def send_many(connection, n):
    if records:
        for i in range(n):
            connection.send(records[i % len(records)])
        return
    for _ in range(n):
        connection.send_bytes(message)


def receive_records(connection, n):
    for i in range(n):
        if connection.recv()["id"] != i % len(records):
            raise ValueError("wrong record")
    return n


def receive_many(connection, n):
    until_pause = PAUSE_EVERY
    for _ in range(n):
        if len(connection.recv_bytes()) != size:
            raise ValueError("wrong length")
        if slow:
            until_pause -= size
            if until_pause < size:
                sleep(PAUSE)
                until_pause = PAUSE_EVERY
    return n


def send_and_receive_many(connection, n):
    sender = Thread(target=send_many, args=(connection, n))
    sender.start()
    received = receive_many(connection, n)
    sender.join()
    return received


def child(connection, n):
    if workload in ("roundtrip", "children"):
        for _ in range(n):
            connection.send_bytes(connection.recv_bytes())
    elif workload == "records":
        connection.send_bytes(b"%d" % receive_records(connection, n))
    elif workload == "both":
        connection.send_bytes(b"%d" % send_and_receive_many(connection, n))
    else:
        connection.send_bytes(b"%d" % receive_many(connection, n))


def parent(connection, n):
    if workload == "roundtrip":
        for _ in range(n):
            connection.send_bytes(message)
            if len(connection.recv_bytes()) != size:
                raise ValueError("wrong length")
        return n
    if workload == "both":
        received = send_and_receive_many(connection, n)
        return received + int(connection.recv_bytes())
    send_many(connection, n)
    return int(connection.recv_bytes())


def run_child(ours, theirs, counts):
    ours.close()
    for n in counts:
        child(theirs, n)
    if workload != "children":
        try:
            theirs.recv_bytes()
        except EOFError:
            pass


def start(*counts):
    ours, theirs = Pipe()
    process = get_context("fork").Process(target=run_child, args=(ours, theirs, counts))
    process.start()
    theirs.close()
    return ours, process


def report(**line):
    print(json.dumps(line), flush=True)


if workload == "children":
    began = perf_counter()
    children = [start(EXCHANGES) for _ in range(count)]
    for _ in range(EXCHANGES):
        for connection, _process in children:
            connection.send_bytes(message)
        for connection, _process in children:
            connection.recv_bytes()
    for _connection, process in children:
        process.join()
    report(messages=count * EXCHANGES, seconds=perf_counter() - began)
else:
    connection, process = start(warm, count)
    parent(connection, warm)
    if slow:
        report(pids=[os.getpid(), process.pid])
        sys.stdin.readline()
    began = perf_counter()
    messages = parent(connection, count)
    report(messages=messages, seconds=perf_counter() - began)
    if slow:
        sys.stdin.readline()
    connection.close()
    process.join()
