#!/usr/bin/env python3
"""What the endpoint costs: the engine's own socket, the same through socat, and Slipway's, side by side.

Each round asks all three, each time beginning with another one; a row is the ratio of the medians. The engine's
own socket is reached past Slipway, through the root of the machine's init. The load comes from http-load, a
client in C++, and from docker. Memory is what bridge and agent have together (PSS). Needs root, socat, some
8 GB of disk and what tests/run prepares.
"""
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

from bench import (DOCKER, UnixConnection, Verdict, by_turns, own_slipway, parser, pids_of, pss_mb,
                   until_pinged)

STREAM_MB = 1024  # An image, and a build's context.
STREAMED_GB = 10
CONNECTIONS = 1000

# What is measured, of how many, and the limits of its ratio to direct by how streams travel. Of times the ratio
# is at most that, of figures a second at least.
LOADS = {
    "keep-alive `/_ping`, p50": ("latency", 7000, {"handed": 1.6, "relayed": 2.4}, "us"),
    "new connections": ("connections", 1, {"handed": 0.55, "relayed": 0.4}, "/s"),
    "16 clients at once": ("clients", 1, {"handed": 0.6, "relayed": 0.6}, "/s"),
    "a byte through `exec -i cat`, p50": ("echo", 1000, {"handed": 1.3, "relayed": 1.3}, "us"),
}
LOAD_ROUNDS = 3  # For each round: dockerd's own figures come and go by a factor of two within seconds.
STREAM_RATIO = 0.95
GROWTH_MB = 8
CONNECTION_KB = 64


def direct_socket(slipway):
    init = json.loads((slipway.home / "run/machine.json").read_text())["pid"]
    return f"/proc/{init}/root/run/slipway/engine.sock"


@contextlib.contextmanager
def socat(folder, target):
    path = folder / "socat.sock"
    process = subprocess.Popen(["socat", f"UNIX-LISTEN:{path},fork", f"UNIX-CONNECT:{target}"],
                               stderr=subprocess.DEVNULL)
    try:
        until_pinged(path)
        yield str(path)
    finally:
        process.terminate()
        process.wait()


def post(socket, path, body):
    with contextlib.closing(UnixConnection(socket)) as connection:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


class Bench:
    def __init__(self, slipway, http_load, sockets, rounds, streams):
        self.slipway = slipway
        self.streams = streams
        self.http_load = http_load
        self.sockets = sockets
        self.rounds = rounds

    def by_turns(self, measure, rounds):
        return by_turns(self.sockets, measure, rounds)

    def load(self, kind, number, socket):
        words = [self.http_load, kind, socket, str(number)]
        if kind == "echo":
            words.append(post(socket, "/containers/still/exec", {
                "AttachStdin": True, "AttachStdout": True, "Cmd": ["/busybox", "cat"]})["Id"])
        return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    def docker(self, socket, *words, **options):
        os.sync()  # Else this one waits for what the one before wrote.
        begun = time.monotonic()
        subprocess.run([DOCKER, "-H", f"unix://{socket}", *words], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=self.slipway.environment | options.pop("env", {}), **options)
        return time.monotonic() - begun


def make_images(slipway, folder):
    slipway.make_image()
    slipway.docker("run", "-d", "--name", "still", "--stop-signal", "KILL", "box", "/busybox", "sleep", "100000")
    big = folder / "big"
    big.mkdir()
    random_file(big / "data", STREAM_MB)
    with subprocess.Popen(["tar", "-C", big, "-c", "."], stdout=subprocess.PIPE) as tar:
        slipway.docker("import", "-", "big", stdin=tar.stdout)


def random_file(path, megabytes):
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))


def loads(bench, verdict):
    for what, (kind, number, limits, unit) in LOADS.items():
        limit = limits[bench.streams]
        figures = bench.by_turns(lambda socket: bench.load(kind, number, socket), bench.rounds * LOAD_ROUNDS)
        tell(verdict, what, figures, limit, unit)


def streams(bench, verdict, folder):
    saved = folder / "big.tar"
    bench.docker(bench.sockets["direct"], "save", "-o", str(saved), "big")
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM box\n")
    (context / "Dockerfile.copy").write_text("FROM box\nCOPY data /\n")
    random_file(context / "data", STREAM_MB)

    def builds(socket):
        os.utime(context / "data")  # Else BuildKit has it.
        return bench.docker(socket, "build", "-f", str(context / "Dockerfile.copy"), str(context))

    kinds = {
        "`docker save`": (STREAM_MB, lambda socket: bench.docker(socket, "save", "big")),
        "`docker load`": (STREAM_MB, lambda socket: bench.docker(socket, "load", "-i", str(saved))),
        "a context of 1 GiB, classic builder": (STREAM_MB, lambda socket: bench.docker(
            socket, "build", str(context), env={"DOCKER_BUILDKIT": "0"})),
        "a context of 1 GiB, BuildKit": (STREAM_MB, builds),
    }
    for what, (megabytes, once) in kinds.items():
        once(bench.sockets["direct"])  # The files are in the page cache then.
        rates = {name: [megabytes / seconds for seconds in took]
                 for name, took in bench.by_turns(once, bench.rounds).items()}
        tell(verdict, what, rates, STREAM_RATIO, "MB/s")


def tell(verdict, what, figures, limit, unit):
    absolute = ", ".join(f"{name} {statistics.median(of):.0f} ({min(of):.0f} to {max(of):.0f})"
                         for name, of in figures.items())
    print(f"{what}, {unit}: {absolute}", flush=True)
    medians = {name: statistics.median(of) for name, of in figures.items()}
    ratio = medians["slipway"] / medians["direct"]
    verdict.add(what, f"{ratio:.2f} of direct ({medians['direct']:.0f} {unit}); socat "
                f"{medians['socat'] / medians['direct']:.2f}",
                f"{limit}", ratio <= limit if unit == "us" else ratio >= limit)


def memory(bench, verdict):
    def together():
        return sum(pss_mb(pids_of(name, bench.slipway.home)) for name in ("slipway-bridge", "slipway-agent"))

    ours = bench.sockets["slipway"]
    before = together()
    for _ in range(STREAMED_GB * 1024 // STREAM_MB):
        bench.docker(ours, "save", "big")
    growth = together() - before
    verdict.add(f"memory after {STREAMED_GB} GiB streamed", f"{growth:+.1f} MB", f"{GROWTH_MB} MB",
                growth <= GROWTH_MB)
    before = together()
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(contextlib.closing(UnixConnection(ours)))
            connection.request("GET", "/_ping")
            connection.getresponse().read()
        each = (together() - before) * 1024 / CONNECTIONS
    verdict.add(f"memory of each of {CONNECTIONS} open connections", f"{each:.0f} KB", f"{CONNECTION_KB} KB",
                each <= CONNECTION_KB)


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--rounds", type=int, default=5)
    parsing.add_argument("--streams", choices=["handed", "relayed"], default="handed",
                         help="the setting of that name: the engine's socket itself, or a relay through the agent")
    options = parsing.parse_args()
    http_load = options.bin.parent / "tests/http-load"
    if not http_load.exists():
        sys.exit(f"{http_load} is missing; cmake --build build/release --target http-load makes it")
    verdict = Verdict()
    with own_slipway(options.bin) as slipway:
        slipway.home.mkdir()
        (slipway.home / "settings.json").write_text(json.dumps({"streams": options.streams}))
        slipway.start()
        folder = slipway.home.parent
        make_images(slipway, folder)
        direct = direct_socket(slipway)
        with socat(folder, direct) as relayed:
            bench = Bench(slipway, http_load, {"direct": direct, "socat": relayed,
                                               "slipway": str(slipway.home / "docker.sock")},
                          options.rounds, options.streams)
            loads(bench, verdict)
            streams(bench, verdict, folder)
            memory(bench, verdict)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
