#!/usr/bin/env python3
"""How long a start takes: `slipway start` to a good /_ping through the endpoint, against bare dockerd.

Both start from the same root file system, on data folders side by side, in turns, so that whatever else
the machine does meets both; which goes first changes with every pair. Bare dockerd runs in namespaces
made by unshare(1), with nothing of Slipway's, and is stopped as gently as Slipway stops its own. Needs
root and what tests/run prepares.
"""
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import ROOTFS, Verdict, own_slipway, parser, until_pinged

START_OVER_SECONDS = 1.0
STOP_SECONDS = 2.0

BARE = """
set -e
mount -t overlay overlay -o lowerdir={root},upperdir={upper},workdir={work} {mount}
cd {mount}
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
mkdir -p run/bare var/lib/docker var/lib/containerd
mount --bind {data} var/lib/docker
mount --bind {containerd} var/lib/containerd
mount --bind {run} run/bare
ip link set lo up
pivot_root . mnt
umount -l /mnt
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin dockerd -H unix:///run/bare/docker.sock >/run/bare/log 2>&1
"""


class Bare:
    FOLDERS = ("data", "containerd", "run", "mount", "upper", "work")

    def __init__(self, folder):
        self.folder = folder
        self.process = None
        for name in self.FOLDERS:
            (folder / name).mkdir(parents=True)

    def start(self):
        script = BARE.format(root=ROOTFS, **{name: self.folder / name for name in self.FOLDERS})
        begun = time.monotonic()
        self.process = subprocess.Popen(
            ["unshare", "-m", "-p", "-n", "-f", "--kill-child=KILL", "--propagation", "private",
             "sh", "-c", script], stdin=subprocess.DEVNULL, start_new_session=True)
        until_pinged(self.folder / "run/docker.sock")
        return time.monotonic() - begun

    def stop(self):
        pid = self.process.pid
        for dockerd in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            subprocess.run(["kill", "-TERM", dockerd], check=True)
        self.process.wait()
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def measure(slipway, bare, pairs):
    """Seconds of each pair: bare dockerd's start, Slipway's start, Slipway's stop."""
    times = []
    for count in range(pairs + 1):
        def bare_turn():
            took = bare.start()
            bare.stop()
            return took

        def slipway_turn():
            return slipway.start(), slipway.stop()

        if count % 2:
            took_bare, (start, stop) = bare_turn(), slipway_turn()
        else:
            (start, stop), took_bare = slipway_turn(), bare_turn()
        if count == 0:
            continue  # Both make their data folders the first time.
        times.append((took_bare, start, stop))
        print(f"pair {count:2}: dockerd {took_bare:.2f} s, slipway start {start:.2f} s, stop {stop:.2f} s",
              flush=True)
    return times


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--pairs", type=int, default=10)
    options = parsing.parse_args()
    verdict = Verdict()
    with own_slipway(options.bin) as slipway, Bare(slipway.home.parent / "bare") as bare:
        times = measure(slipway, bare, options.pairs)
    bares, starts, stops = zip(*times)
    bare_median, start_median = statistics.median(bares), statistics.median(starts)
    over = start_median - bare_median
    verdict.add("`slipway start` to a running engine, warm",
                f"{start_median:.2f} s; bare dockerd {bare_median:.2f} s: {over:.2f} s over",
                f"{START_OVER_SECONDS} s over", over <= START_OVER_SECONDS)
    verdict.add("`slipway stop`, no containers",
                f"{statistics.median(stops):.2f} s, at most {max(stops):.2f} s",
                f"{STOP_SECONDS} s", max(stops) <= STOP_SECONDS)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
