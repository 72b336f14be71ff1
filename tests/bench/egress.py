#!/usr/bin/env python3
"""What the way from the machine to its host costs: host.docker.internal, egress by the host, NAT, and slirp4netns.

The server (port-load, in C++) is on the host, which is a network namespace of the bench's own; the client is in the
network of a machine, or of slirp4netns. Each round asks all, each time beginning with another one; a row is the median
of the rounds. The limit is twice the worse direction of slirp4netns. Needs root, slirp4netns, and what
packaging/quickstart and tests/run prepare.
"""
import contextlib
import os
import statistics
import subprocess
import sys
import time

from bench import Verdict, by_turns, own_slipway, parser
from ports import STREAMS, Way, machine_init

OUTSIDE = "198.18.0.1"  # An address of the host's, of the range for benchmarks (RFC 2544).
PORT = 5001
FACTOR = 2
IN_OWN_NETWORK = "SLIPWAY_BENCH_NETWORK"


def enter_own_network():
    """The script anew, on a host without a network but a loopback and one more address."""
    if IN_OWN_NETWORK in os.environ:
        return
    network = f"ip link set lo up; ip addr add {OUTSIDE}/32 dev lo"
    os.execvpe("unshare", ["unshare", "--net", "sh", "-c", f'{network}; exec "$@"', "sh", sys.executable, *sys.argv],
               os.environ | {IN_OWN_NETWORK: "1"})


@contextlib.contextmanager
def slirp(load):
    """A network namespace whose way out is slirp4netns, set up as for a machine."""
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as network:
        ready, tells = os.pipe()
        time.sleep(0.1)  # Until it is in its own.
        with subprocess.Popen(["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback",
                               "--enable-seccomp", f"--ready-fd={tells}", str(network.pid), "tap0"],
                              pass_fds=[tells], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            os.close(tells)
            try:
                if os.read(ready, 1) != b"1":
                    sys.exit("slirp4netns gave up")
                yield Way("slirp4netns", load, OUTSIDE, PORT, enter=("nsenter", "-t", str(network.pid), "-n"))
            finally:
                os.close(ready)
                process.terminate()
                network.terminate()


@contextlib.contextmanager
def machine(options, load, egress, name, address=OUTSIDE):
    with own_slipway(options.bin) as slipway:
        slipway.start()
        slipway.run("egress", egress)
        inside = ("nsenter", "-t", str(machine_init(slipway)), "-n")
        if address is None:
            record = (slipway.home / "run/machine.json").read_text()
            address = record.split('"subnet":"')[1].split("/")[0].rsplit(".", 1)[0] + ".253"
        yield Way(name, load, address, PORT, enter=inside)


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--rounds", type=int, default=5)
    options = parsing.parse_args()
    load = options.bin.parent / "tests/port-load"
    if not load.exists():
        sys.exit(f"{load} is missing; cmake --build build/release --target port-load makes it")
    enter_own_network()
    verdict = Verdict()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen([load, "serve", str(PORT)]))
        stack.callback(server.terminate)
        ways = [stack.enter_context(way) for way in (
            slirp(load), machine(options, load, "host", "host.docker.internal", None),
            machine(options, load, "host", "egress host"), machine(options, load, "nat", "egress nat"))]
        figures = {what: by_turns({way.name: way for way in ways}, lambda way, kind=kind: way.measure(*kind),
                                  options.rounds) for what, kind in STREAMS.items()}
    for count in ("1 stream", "64 streams"):
        rates = {what: {name: statistics.median(one[0] for one in of) / 1e9 for name, of in figures[what].items()}
                 for what in STREAMS if what.startswith(count)}
        limit = FACTOR * min(of["slirp4netns"] for of in rates.values())
        for what, of in rates.items():
            for name in ("host.docker.internal", "egress host"):
                verdict.add(f"{what}, {name}", f"{of[name]:.2f} GB/s (NAT {of['egress nat']:.2f}, "
                            f"slirp4netns {of['slirp4netns']:.2f})", f"{limit:.2f}", of[name] >= limit)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
