#!/usr/bin/env python3
"""How long a start takes: `slipway start` to a good /_ping through the endpoint, against bare dockerd.

Both start from the same root file system on data folders of the same kind, in turns, so that whatever
else the machine does meets both. Bare dockerd runs in namespaces made by unshare(1), with nothing of
Slipway's. Needs root and what tests/run prepares. Prints each pair, the medians and their difference.
"""
import argparse
import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 60

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


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ping(path):
    try:
        connection = UnixConnection(str(path))
        connection.request("GET", "/_ping")
        return connection.getresponse().read() == b"OK"
    except OSError:
        return False


def until_pinged(path):
    end = time.monotonic() + LIMIT_SECONDS
    while not ping(path):
        if time.monotonic() > end:
            sys.exit(f"no answer on {path} after {LIMIT_SECONDS} s")
        time.sleep(0.005)


class Bare:
    FOLDERS = ("data", "containerd", "run", "mount", "upper", "work")

    def __init__(self, folder):
        self.folder = folder
        for name in self.FOLDERS:
            (folder / name).mkdir(parents=True)

    def start(self):
        script = BARE.format(root=ROOT / "build/rootfs/root", **{
            name: self.folder / name for name in self.FOLDERS})
        begun = time.monotonic()
        self.process = subprocess.Popen(
            ["unshare", "-m", "-p", "-n", "-f", "--kill-child=KILL", "--propagation", "private",
             "sh", "-c", script], stdin=subprocess.DEVNULL)
        until_pinged(self.folder / "run/docker.sock")
        return time.monotonic() - begun

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        (self.folder / "run/docker.sock").unlink()


class Slipway:
    def __init__(self, folder, binaries):
        self.home = folder
        self.command = str(binaries / "slipway")
        self.environment = {**os.environ, "SLIPWAY_HOME": str(folder),
                            "DOCKER_CONFIG": str(folder / "docker"),
                            "SLIPWAY_ROOTFS": str(ROOT / "build/rootfs/root")}

    def run(self, *words):
        done = subprocess.run([self.command, *words], env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"slipway {' '.join(words)}: {done.stdout}{done.stderr}")

    def start(self):
        begun = time.monotonic()
        self.run("start")
        until_pinged(self.home / "docker.sock")
        return time.monotonic() - begun

    def stop(self):
        begun = time.monotonic()
        self.run("stop")
        return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="slwb-", dir="/tmp"))
    bare, slipway = Bare(folder / "bare"), Slipway(folder / "home", options.bin)
    starts, bares, stops = [], [], []
    try:
        for count in range(options.pairs + 1):
            took_bare = bare.start()
            bare.stop()
            took = slipway.start()
            stopped = slipway.stop()
            if count == 0:
                continue  # Both make their data folders the first time.
            bares.append(took_bare)
            starts.append(took)
            stops.append(stopped)
            print(f"pair {count:2}: dockerd {took_bare:.2f} s, slipway start {took:.2f} s, stop {stopped:.2f} s",
                  flush=True)
    finally:
        subprocess.run([slipway.command, "uninstall", "--yes"], env=slipway.environment, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    bare_median, start_median = statistics.median(bares), statistics.median(starts)
    print(f"median: dockerd {bare_median:.2f} s, slipway start {start_median:.2f} s "
          f"(+{start_median - bare_median:.2f} s, {start_median / bare_median:.2f} times), "
          f"stop {statistics.median(stops):.2f} s, slowest stop {max(stops):.2f} s")


if __name__ == "__main__":
    main()
