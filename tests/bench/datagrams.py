#!/usr/bin/env python3
"""How many datagrams a published UDP port loses: 50,000 of 512 bytes a second, to a program in a container that counts.

Both ways that streams travel, and --rounds times each. Needs root, /usr/bin/python3, and what packaging/quickstart and
tests/run prepare.
"""
import contextlib
import json
import socket
import sys
import time

from bench import Verdict, own_slipway, parser

RATE, SECONDS, SIZE = 50_000, 5, 512
BATCH = 50  # At a time, so that the sender keeps its pace.
LOST_AT_MOST = 0.1  # Percent.
COUNTER = """
import socket
server = socket.socket(type=socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
server.bind(("", 7))
count = 0
while True:
    data, peer = server.recvfrom(2048)
    if len(data) > 1:
        count += 1
    else:
        server.sendto(str(count).encode(), peer)
        count = 0
"""


def counted(client):
    """What has arrived since it was last asked."""
    for _ in range(50):
        client.send(b"?")
        with contextlib.suppress(TimeoutError, ConnectionError):
            return int(client.recv(100))
    sys.exit("the container does not answer")


def lost_percent(port):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        counted(client)
        payload, sent, begun = b"x" * SIZE, 0, time.perf_counter()
        while sent < RATE * SECONDS:
            for _ in range(BATCH):
                client.send(payload)
            sent += BATCH
            time.sleep(max(0.0, begun + sent / RATE - time.perf_counter()))
        took = time.perf_counter() - begun
        time.sleep(0.5)
        return 100 * (1 - counted(client) / sent), sent / took


def free_port():
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--rounds", type=int, default=3)
    options = parsing.parse_args()
    verdict = Verdict()
    for streams in ("handed", "relayed"):
        with own_slipway(options.bin) as slipway:
            slipway.home.mkdir()
            (slipway.home / "settings.json").write_text(json.dumps({"streams": streams}))
            slipway.start()
            slipway.make_image()
            port = free_port()
            slipway.docker("run", "-d", "-p", f"{port}:7/udp", "-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", "-v",
                           "/lib64:/lib64:ro", "box", "/usr/bin/python3", "-c", COUNTER)
            rounds = [lost_percent(port) for _ in range(options.rounds)]
        lost, rate = max(lost for lost, _ in rounds), min(rate for _, rate in rounds)
        verdict.add(f"datagrams lost, streams {streams}", f"{lost:.3f} % of {rate:,.0f} a second, the worst of "
                    f"{options.rounds}", f"{LOST_AT_MOST} % of {RATE:,}", lost <= LOST_AT_MOST and rate > RATE * 0.95)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
