#!/usr/bin/env python3
"""How soon a killed dockerd and a killed agent are back, with a container that publishes a port.

Each is killed with SIGKILL, in turns. dockerd is back with the first good /_ping through the endpoint
from another dockerd; the agent when all that it carries answers: /_ping, the published port and
`slipway status`. The container must have gone on. Needs root and what tests/run prepares.
"""
import http.client
import os
import signal
import socket
import subprocess
import sys
import time

from bench import ANSWER_SECONDS, Verdict, own_slipway, parser, pids_of, ping

PING_SECONDS = 1.5
SERVICES_SECONDS = 2.0
SETTLE_SECONDS = 12  # A daemon that was good for ten is restarted without a longer pause.


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetches(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        return connection.getresponse().read() == b"still here\n"
    except (OSError, http.client.HTTPException):
        return False


def running(slipway):
    done = subprocess.run([slipway.command, "status"], env=slipway.environment, capture_output=True)
    return done.returncode == 0


def seconds_until_back(name, slipway, answers):
    """From the kill on; `answers` is asked only once another process has the name."""
    (killed,) = pids_of(name, slipway.home)
    begun = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    while killed in pids_of(name, slipway.home) or not answers():
        if time.monotonic() - begun > ANSWER_SECONDS:
            sys.exit(f"{name} is not back after {ANSWER_SECONDS} s")
        time.sleep(0.005)
    return time.monotonic() - begun


def measure(slipway, port, rounds):
    endpoint = slipway.home / "docker.sock"
    times = {"dockerd": [], "slipway-agent": []}
    answers = {"dockerd": lambda: ping(endpoint),
               "slipway-agent": lambda: ping(endpoint) and fetches(port) and running(slipway)}
    for count in range(1, rounds + 1):
        for name, took in times.items():
            time.sleep(SETTLE_SECONDS)
            took.append(seconds_until_back(name, slipway, answers[name]))
        print(f"round {count:2}: " + ", ".join(f"{name} {took[-1]:.2f} s" for name, took in times.items()),
              flush=True)
    return times


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--rounds", type=int, default=10)
    options = parsing.parse_args()
    verdict = Verdict()
    with own_slipway(options.bin) as slipway:
        slipway.start()
        slipway.make_image()
        port = free_port()
        slipway.docker("run", "-d", "-p", f"127.0.0.1:{port}:80", "--stop-signal", "KILL", "box", "/busybox", "sh",
                       "-c", "/busybox mkdir /w; echo still here > /w/index.html; "
                             "exec /busybox httpd -f -p 80 -h /w")
        container = pids_of("busybox", slipway.home)
        times = measure(slipway, port, options.rounds)
        went_on = pids_of("busybox", slipway.home) == container
    if not went_on:
        sys.exit("the container has not gone on")
    for what, name, limit in (("`/_ping` back after kill -9 of dockerd", "dockerd", PING_SECONDS),
                              ("all services back after kill -9 of the agent", "slipway-agent", SERVICES_SECONDS)):
        took = times[name]
        verdict.add(what, f"{min(took):.2f} to {max(took):.2f} s", f"{limit} s", max(took) <= limit)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
