"""What the benches share: a Slipway in a home of its own, the machine they ran on, and their verdict.

A bench prints what it measured as rows of README's table, each with its limit, and ends with 1 if a limit
is missed. It removes what it made, also after Ctrl-C or SIGTERM.
"""
import argparse
import contextlib
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOTFS = ROOT / "build/rootfs/root"
DOCKER = ROOT / "build/cli/bin/docker"
ANSWER_SECONDS = 60


def parser(description):
    parsing = argparse.ArgumentParser(description=description.splitlines()[0])
    parsing.add_argument("--bin", type=Path, default=ROOT / "build/release/bin",
                         help="the programs to measure; the release build's if not given")
    return parsing


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
        with contextlib.closing(UnixConnection(str(path))) as connection:
            connection.request("GET", "/_ping")
            return connection.getresponse().read() == b"OK"
    except (OSError, http.client.HTTPException):
        return False


def until_pinged(path):
    end = time.monotonic() + ANSWER_SECONDS
    while not ping(path):
        if time.monotonic() > end:
            sys.exit(f"no answer on {path} after {ANSWER_SECONDS} s")
        time.sleep(0.005)


class Slipway:
    def __init__(self, home, binaries):
        self.home = home
        self.command = str(binaries / "slipway")
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("DOCKER_", "SLIPWAY_", "SUDO_"))}
        self.environment |= {"SLIPWAY_HOME": str(home), "SLIPWAY_ROOTFS": str(ROOTFS),
                             "DOCKER_CONFIG": str(home.parent / "docker")}

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

    def docker(self, *words, **options):
        return subprocess.run([DOCKER, "-H", f"unix://{self.home}/docker.sock", *words], check=True,
                              env=self.environment, stdout=subprocess.DEVNULL, **options)

    def make_image(self):
        """The image "box", which has /busybox and nothing else."""
        tar = subprocess.run(["tar", "-C", "/bin", "-c", "busybox"], capture_output=True, check=True).stdout
        self.docker("import", "-", "box", input=tar)


@contextlib.contextmanager
def own_slipway(binaries):
    """A Slipway that is not started yet, in a folder that is gone afterwards."""
    if os.geteuid() != 0:
        sys.exit(f"needs root: sudo {sys.argv[0]}")
    for path, remedy in {binaries / "slipway": "packaging/quickstart builds it",
                         ROOTFS: "packaging/rootfs/build --unpacked makes it",
                         DOCKER: "packaging/rootfs/cli makes it"}.items():
        if not path.exists():
            sys.exit(f"{path} is missing; {remedy}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    folder = Path(tempfile.mkdtemp(prefix="slwb-", dir="/tmp"))
    slipway = Slipway(folder / folder.name, binaries)
    try:
        yield slipway
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        subprocess.run([slipway.command, "uninstall", "--yes"], env=slipway.environment, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def first_value(file, key):
    for line in Path(file).read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


def this_machine():
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cgroup = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    kernel = ".".join(platform.release().split(".")[:2])
    return (f"{len(os.sched_getaffinity(0))} cores ({first_value('/proc/cpuinfo', 'model name')}), "
            f"{memory_gb:.0f} GB, kernel {kernel}, cgroup {cgroup}, "
            f"load {os.getloadavg()[0]:.1f} before and")


def descendants(pid):
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It has just ended.
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def pids_of(name, home):
    """The bridge has its home in its environment; all others descend from the machine's init."""
    if name != "slipway-bridge":
        among = descendants(json.loads((home / "run/machine.json").read_text())["pid"])
    else:
        among = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    ours = f"SLIPWAY_HOME={home}\0".encode()
    found = []
    for pid in among:
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() == name and (
                    name != "slipway-bridge" or ours in Path(f"/proc/{pid}/environ").read_bytes()):
                found.append(pid)
        except OSError:
            pass  # It has just ended.
    return found


def by_turns(ways, measure, rounds):
    """All that `measure` gives for each of `ways`, by its name; each round begins with another one."""
    figures = {name: [] for name in ways}
    names = list(ways)
    for count in range(rounds):
        for name in names[count % len(names):] + names[:count % len(names)]:
            figures[name].append(measure(ways[name]))
    return figures


def pss_mb(pids):
    return sum(int(first_value(f"/proc/{pid}/smaps_rollup", "Pss:").split()[0]) for pid in pids) / 1024


class Verdict:
    """Rows for README's table. `met` is asked of the figure itself, not of its rounding."""

    def __init__(self):
        self.machine = this_machine()
        self.rows = []
        self.missed = 0

    def add(self, what, measured, limit, met):
        self.rows.append((what, measured, limit, "met" if met else "MISSED"))
        self.missed += not met

    def tell(self):
        print(f"\nMeasured on {self.machine} {os.getloadavg()[0]:.1f} after.\n")
        print("| what | measured | limit | |\n|---|---|---|---|")
        for row in self.rows:
            print(f"| {' | '.join(row)} |")
        print(f"\n{len(self.rows) - self.missed} met, {self.missed} missed")
        return 1 if self.missed else 0
