#!/usr/bin/env python3
"""Thousands of quiet event streams and hundreds of busy clients for minutes: nothing lost, memory flat.

The streams and some more, on the engine's own socket, ask for the same span of events; each must be told the same
ones, in whatever order: dockerd keeps none between those who listen. It gives a listener up for an event after 100 ms
(moby/pubsub); whether that is why streams differ, more of them on its own socket tell (`--direct`). The clients make
and remove volumes, list containers, read a log and ping, each over a connection of its own that it renews now and
then. Memory is the bridge's (PSS). Needs root and what tests/run prepares.
"""
import collections
import contextlib
import hashlib
import http.client
import json
import multiprocessing
import random
import resource
import select
import socket
import sys
import threading
import time

from bench import UnixConnection, Verdict, own_slipway, parser, pids_of, pss_mb
from endpoint import direct_socket

GROWTH_MB = 8
CHANGES_A_SECOND = 4  # Of which each makes two events or more, and each goes to every stream.
WARM_UP = 0.2  # Of the time: what the clients need is allocated by then.
PATIENCE_SECONDS = 60  # Beyond the span, for the last event to come and the streams to end.


class EventStream:
    """Reads one answer's chunks; keeps the number of events, and the sum of their hashes."""

    def __init__(self, path, since, until):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(f"GET /events?since={since}&until={until} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        self.waiting = b""
        self.line = b""
        self.in_body = False
        self.ended = False
        self.events = 0
        self.sum = 0

    def fileno(self):
        return self.socket.fileno()

    def arrived(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError(f"ended after {self.events} events, without its last chunk")
        self.waiting += data
        if not self.in_body:
            head, found, rest = self.waiting.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError(head.decode(errors="replace"))
            self.in_body, self.waiting = True, rest
        while not self.ended:
            size, found, rest = self.waiting.partition(b"\r\n")
            if not found or len(rest) < int(size, 16) + 2:
                return
            length = int(size, 16)
            self.ended = length == 0
            self.line += rest[:length]
            self.waiting = rest[length + 2:]
            *whole, self.line = self.line.split(b"\n")
            for event in whole:
                self.events += 1
                self.sum += int.from_bytes(hashlib.sha256(event).digest(), "big")

    def told(self):
        return self.events, self.sum


def follow(paths, since, until, results):
    """In a process of its own: the streams' outcomes, in the order of their sockets."""
    streams = [EventStream(path, since, until) for path in paths]
    results.send("connected")
    poll = select.epoll()
    by_number = {stream.fileno(): stream for stream in streams}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    failures = []
    while by_number and time.time() < until + PATIENCE_SECONDS:
        for number, _ in poll.poll(1):
            stream = by_number[number]
            try:
                stream.arrived()
            except (OSError, ValueError) as error:
                failures.append(str(error))
                stream.ended = True
            if stream.ended:
                poll.unregister(number)
                del by_number[number]
    failures += [f"still open {PATIENCE_SECONDS} s after its end"] * len(by_number)
    results.send(([stream.told() for stream in streams], failures))


class Client(threading.Thread):
    """One busy client. What it asks must be answered as it should be, however many others ask."""

    def __init__(self, path, number, pause, end):
        super().__init__()
        self.path, self.number, self.pause, self.end_at = path, number, pause, end
        self.requests = 0
        self.failure = None

    def run(self):
        try:
            while time.time() < self.end_at:
                with contextlib.closing(UnixConnection(self.path)) as connection:
                    connection.timeout = 60
                    for _ in range(random.randint(1, 20)):
                        self.turn(connection)
                        pause = random.uniform(0.5, 1.5) * self.pause
                        if time.time() + pause > self.end_at:
                            return
                        time.sleep(pause)
        except Exception as error:  # Whatever it is, it is this run's failure.
            self.failure = f"client {self.number}: {error!r}"

    def turn(self, connection):
        name = f"soak-{self.number}"
        self.ask(connection, "POST", "/volumes/create", 201, {"Name": name})
        self.ask(connection, "DELETE", f"/volumes/{name}", 204)
        # Told in chunks, edited on the way, and moved as it is.
        self.ask(connection, "GET", "/containers/json?all=1", 200)
        self.ask(connection, "GET", "/containers/still/logs?stdout=1", 200)
        for _ in range(5):
            self.ask(connection, "GET", "/_ping", 200)

    def ask(self, connection, method, path, status, body=None):
        connection.request(method, path, body and json.dumps(body),
                           {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != status:
            raise http.client.HTTPException(f"{method} {path}: {answer.status} {text[:200]}")
        self.requests += 1


def soak(slipway, options, verdict):
    path = str(slipway.home / "docker.sock")
    bridge = pids_of("slipway-bridge", slipway.home)
    since = int(time.time())
    until = since + 20 + options.seconds  # Twenty to connect in.
    results, other_end = multiprocessing.Pipe()
    paths = [direct_socket(slipway)] * options.direct + [path] * options.streams
    following = multiprocessing.Process(target=follow, args=(paths, since, until, other_end))
    following.start()
    other_end.close()  # So that recv() ends if it does.
    results.recv()
    print(f"{options.streams} event streams after {time.time() - since:.1f} s", flush=True)
    with_streams = pss_mb(bridge)
    end = until - 5
    pause = options.clients / CHANGES_A_SECOND
    clients = [Client(path, number, pause, end) for number in range(options.clients)]
    for client in clients:
        client.start()
    time.sleep((end - time.time()) * WARM_UP)
    warm = pss_mb(bridge)
    time.sleep(max(end - time.time(), 0))
    after = pss_mb(bridge)
    for client in clients:
        client.join()
    outcomes, failures = results.recv()
    following.join()
    failures += [client.failure for client in clients if client.failure]
    for failure in failures[:20]:
        print(failure)
    told, _ = collections.Counter(outcomes).most_common(1)[0]
    for at, outcome in enumerate(outcomes):
        if outcome != told:
            print(f"{'direct' if at < options.direct else 'slipway'}: {outcome[0]} events instead of {told[0]}")
    direct = sum(outcome != told for outcome in outcomes[:options.direct])
    ours = sum(outcome != told for outcome in outcomes[options.direct:])
    requests = sum(client.requests for client in clients)
    verdict.add(f"{options.streams} event streams, {options.seconds} s, {told[0]} events each",
                f"{ours} differ; of {options.direct} on the engine's own socket {direct}", "0",
                ours == 0 and told[0] > 0)
    verdict.add(f"{options.clients} clients at work, {requests} requests", f"{len(failures)} failures", "0",
                not failures)
    verdict.add("the bridge's growth meanwhile",
                f"{after - warm:+.1f} MB, of {warm:.1f} ({with_streams:.1f} before the clients came)",
                f"{GROWTH_MB} MB", after - warm <= GROWTH_MB)


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--streams", type=int, default=2000)
    parsing.add_argument("--direct", type=int, default=1, help="streams on the engine's own socket, to compare with")
    parsing.add_argument("--clients", type=int, default=200)
    parsing.add_argument("--seconds", type=int, default=300)
    options = parsing.parse_args()
    needed = 2 * (options.direct + options.streams + options.clients) + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    verdict = Verdict()
    with own_slipway(options.bin) as slipway:
        slipway.start()
        slipway.make_image()
        slipway.docker("run", "-d", "--name", "still", "--stop-signal", "KILL", "box", "/busybox", "sh", "-c",
                       "/busybox seq 10000; /busybox sleep 100000")
        soak(slipway, options, verdict)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
