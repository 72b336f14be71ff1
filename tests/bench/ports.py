#!/usr/bin/env python3
"""What a published TCP port costs: direct, through Debian's docker-proxy, socat, and Slipway's two ways, side by side.

The server (port-load, in C++) is in a container. Direct is its address, asked from the machine's network namespace.
docker-proxy and socat run there too, with their client, and go to the same address: what they do is Slipway's work
between two other sockets. Slipway's ports are asked from the host: "handed" of the same machine, "relayed" of a second
one. Each round asks all, each time beginning with another one; a row is the median of the rounds' ratios to
docker-proxy. The cost of a GB is the processor time of those who forward it, not of client and server.
--held N holds N connections open instead. Needs root, socat, and what packaging/quickstart and tests/run prepare.
"""
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import ROOTFS, UnixConnection, Verdict, by_turns, descendants, own_slipway, parser, pids_of, pss_mb

STREAMS = {"1 stream up": ("up", 1), "1 stream down": ("down", 1),
           "64 streams up": ("up", 64), "64 streams down": ("down", 64)}
ASKED = {"requests, 16 connections kept": ("requests", 16), "new connections, 16 at a time": ("connections", 16)}
SECONDS = 2
STUCK_SECONDS = 20
# Of docker-proxy's: rates at least, the cost of a GB and p99 at most.
LIMITS = {"handed": {"streams": 1, "cost": 1, "requests": 1, "connections": 1, "p99": 1},
          "relayed": {"streams": 0.95, "cost": 1.6, "requests": 0.55, "connections": 0.9, "p99": 2}}
HELD, HELD_KB, IDLE_SECONDS, IDLE_PERCENT = 4000, 12, 5, 1
SERVER_PORT = 80


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def cpu_seconds(pids):
    """With that of their children that have ended."""
    ticks = 0
    for pid in pids:
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


class Way:
    """To the server: where, by whom, and from which network namespace."""

    def __init__(self, name, load, address, port, forwarders=lambda: [], enter=()):
        self.name = name
        self.words = [*enter, load]
        self.target = [address, str(port)]
        self.forwarders = forwarders

    def load(self, kind, *words, **options):
        return subprocess.Popen([*self.words, kind, *self.target, *map(str, words)], stdout=subprocess.PIPE, text=True,
                                **options)

    def measure(self, kind, count):
        """(bytes a second, CPU seconds per GB) or (answers a second, p99)."""
        before = cpu_seconds(self.forwarders())
        with self.load(kind, count, SECONDS) as process:
            try:
                out, _ = process.communicate(timeout=SECONDS + STUCK_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                sys.exit(f"{kind} {count}, {self.name}: stuck for {STUCK_SECONDS} s")
        if process.returncode:
            sys.exit(f"{kind} {count}, {self.name}: no figures")
        first, second = map(float, out.split())
        if kind in ("up", "down"):
            return first / second, (cpu_seconds(self.forwarders()) - before) / (first / 1e9)
        return first, second


def machine_init(slipway):
    return json.loads((slipway.home / "run/machine.json").read_text())["pid"]


@contextlib.contextmanager
def published(binaries, load, streams):
    """A Slipway, and the ways to a server in a container of it: its own, and the container's address."""
    with own_slipway(binaries) as slipway:
        slipway.home.mkdir()
        (slipway.home / "settings.json").write_text(json.dumps({"streams": streams}))
        slipway.start()
        slipway.make_image()
        port = free_port()
        slipway.docker("run", "-d", "--name", "server", "--ulimit", "nofile=20000:20000", "-p",
                       f"127.0.0.1:{port}:{SERVER_PORT}", "-v", f"{load}:/port-load:ro", "box", "/port-load", "serve",
                       str(SERVER_PORT))
        with contextlib.closing(UnixConnection(str(slipway.home / "docker.sock"))) as connection:
            connection.request("GET", "/containers/server/json")
            address = json.loads(connection.getresponse().read())["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]

        def ours():
            return [pid for name in ("slipway-bridge", "slipway-agent") for pid in pids_of(name, slipway.home)]

        inside = ("nsenter", "-t", str(machine_init(slipway)), "-n")
        yield (slipway, Way(streams, load, "127.0.0.1", port, ours),
               Way("direct", load, address, SERVER_PORT, enter=inside))


@contextlib.contextmanager
def forwarder(name, direct, command, pass_fds=()):
    """Another's way to where `direct` leads: `command` gets the port to listen on, and the target."""
    port = free_port()
    inside = direct.words[:-1]
    with subprocess.Popen([*inside, *command(port, *direct.target)], pass_fds=pass_fds,
                          stderr=subprocess.DEVNULL) as process:
        try:
            way = Way(name, direct.words[-1], "127.0.0.1", port, lambda: childless(process.pid), inside)
            until_listening(way)
            yield way
        finally:
            process.terminate()


def childless(pid):
    """It alone, once its children have ended and what they cost is counted as its own."""
    end = time.monotonic() + STUCK_SECONDS
    while descendants(pid):
        if time.monotonic() > end:
            sys.exit(f"a connection has not ended after {STUCK_SECONDS} s: its forwarder's children run")
        time.sleep(0.01)
    return [pid]


def until_listening(way):
    for _ in range(100):
        with way.load("requests", 1, 1, stderr=subprocess.DEVNULL) as process:
            process.stdout.read()
        if process.returncode == 0:
            return
        time.sleep(0.05)
    sys.exit(f"{way.name} does not listen")


def docker_proxy(port, address, target):
    return [str(ROOTFS / "usr/sbin/docker-proxy"), "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", str(port),
            "-container-ip", address, "-container-port", target]


def socat(port, address, target):
    return ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,backlog=1024,nodelay", f"TCP:{address}:{target},nodelay"]


class Rows:
    """What was measured of each way, as rows beside docker-proxy's."""

    def __init__(self, verdict, ways, rounds):
        self.verdict = verdict
        self.ways = ways
        self.rounds = rounds

    def measure(self, kind, count):
        return by_turns(self.ways, lambda way: way.measure(kind, count), self.rounds)

    def ratio(self, figures, name, which):
        return statistics.median(of[which] / beside[which]
                                 for of, beside in zip(figures[name], figures["docker-proxy"], strict=True))

    def tell(self, what, figures, which, limit, unit, scale):
        absolute = ", ".join(f"{name} {statistics.median(one[which] for one in of) / scale:.3g}"
                             for name, of in figures.items())
        print(f"{what}, {unit}: {absolute}", flush=True)
        others = "; ".join(f"{name} {self.ratio(figures, name, which):.2f}" for name in ("direct", "socat")
                           if figures[name][0][which])
        base = statistics.median(one[which] for one in figures["docker-proxy"]) / scale
        for name, limits in LIMITS.items():
            ratio, bound = self.ratio(figures, name, which), limits[limit]
            self.verdict.add(f"{what}, {name}", f"{ratio:.2f} of {base:.3g} {unit} ({others})", f"{bound}",
                             ratio <= bound if limit in ("cost", "p99") else ratio >= bound)

    def streams(self, what):
        figures = self.measure(*STREAMS[what])
        self.tell(what, figures, 0, "streams", "GB/s", 1e9)
        self.tell(f"{what}, cost", figures, 1, "cost", "CPU s per GB", 1)

    def asked(self, what):
        figures = self.measure(*ASKED[what])
        self.tell(what, figures, 0, "requests" if "requests" in what else "connections", "a second", 1)
        self.tell(f"{what}, p99", figures, 1, "p99", "us", 1)


def side_by_side(options, load):
    verdict = Verdict()
    with contextlib.ExitStack() as stack:
        _, handed, direct = stack.enter_context(published(options.bin, load, "handed"))
        _, relayed, _ = stack.enter_context(published(options.bin, load, "relayed"))
        told, tells = os.pipe()  # docker-proxy says on descriptor 3 that it listens.
        for end in (told, tells):
            stack.callback(os.close, end)
        proxy = stack.enter_context(forwarder("docker-proxy", direct, lambda *at: [
            "sh", "-c", f'exec "$@" 3>&{tells}', "sh", *docker_proxy(*at)], (tells,)))
        ways = [direct, proxy, stack.enter_context(forwarder("socat", direct, socat)), handed, relayed]
        rows = Rows(verdict, {way.name: way for way in ways}, options.rounds)
        for what in options.rows or STREAMS | ASKED:
            (rows.streams if what in STREAMS else rows.asked)(what)
    return verdict.tell()


def held(options, load):
    verdict = Verdict()
    for streams in LIMITS:
        with published(options.bin, load, streams) as (slipway, way, _):
            bridge = pids_of("slipway-bridge", slipway.home)
            way.measure("requests", 16)  # What the first connections cost once is not theirs.
            before = pss_mb(bridge)
            with way.load("hold", options.held, 0, stdin=subprocess.PIPE) as holder:
                holder.stdout.readline()
                each = (pss_mb(bridge) - before) * 1024 / options.held
                used = cpu_seconds(way.forwarders())
                time.sleep(IDLE_SECONDS)
                idle = (cpu_seconds(way.forwarders()) - used) / IDLE_SECONDS * 100
                holder.stdin.write("\n")
                holder.stdin.flush()
                alive = int(holder.stdout.readline() or 0)
                holder.stdin.close()
        what = f"{options.held} connections held, {streams}: "
        verdict.add(what + "memory of each in the bridge", f"{each:.1f} KB", f"{HELD_KB} KB", each <= HELD_KB)
        verdict.add(what + "still answered", f"{alive}", f"{options.held}", alive == options.held)
        verdict.add(what + "CPU of bridge and agent, idle", f"{idle:.2f} %", f"{IDLE_PERCENT} %",
                    idle <= IDLE_PERCENT)
    return verdict.tell()


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--rounds", type=int, default=5)
    parsing.add_argument("--rows", nargs="*", choices=[*STREAMS, *ASKED], help="these only")
    parsing.add_argument("--held", type=int, nargs="?", const=HELD, help="so many connections, and nothing else")
    options = parsing.parse_args()
    load = options.bin.parent / "tests/port-load"
    if not load.exists():
        sys.exit(f"{load} is missing; cmake --build build/release --target port-load makes it")
    return held(options, load) if options.held else side_by_side(options, load)


if __name__ == "__main__":
    sys.exit(main())
