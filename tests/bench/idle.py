#!/usr/bin/env python3
"""What an idle Slipway costs: memory and wake-ups of bridge and agent, some minutes after a load.

The load: 100 containers one after the other, and 2,000 requests to /_ping. Memory is the proportional set
size (smaps_rollup), wake-ups are the context switches of all threads per second, read from /proc from
outside. Needs root and what tests/run prepares.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from start_time import ROOT, Slipway, ping  # noqa: E402


def status_value(path, key):
    for line in path.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def switches(pid):
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += status_value(task / "status", "voluntary_ctxt_switches")
        total += status_value(task / "status", "nonvoluntary_ctxt_switches")
    return total


def pss_mb(pid):
    return status_value(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1024


def find(name, home):
    """The process of this home: the bridge has it in its environment, the agent in its mounts' sources."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "comm").read_text().strip() != name:
                continue
            if str(home).encode() in (entry / "environ").read_bytes() or \
                    str(home) in (entry / "mountinfo").read_text():
                return int(entry.name)
        except OSError:
            continue
    sys.exit(f"{name} does not run")


def load(slipway):
    docker = [str(ROOT / "build/cli/bin/docker"), "-H", f"unix://{slipway.home}/docker.sock"]
    tar = subprocess.run(["tar", "-C", "/bin", "-c", "busybox"], capture_output=True, check=True).stdout
    subprocess.run([*docker, "import", "-", "box"], input=tar, check=True, stdout=subprocess.DEVNULL)
    for _ in range(100):
        subprocess.run([*docker, "run", "--rm", "-v", "/tmp:/t", "box", "/busybox", "true"], check=True)
    for _ in range(2000):
        assert ping(slipway.home / "docker.sock")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5, help="to wait after the load")
    parser.add_argument("--seconds", type=int, default=60, help="to count wake-ups for")
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="slwb-", dir="/tmp"))
    slipway = Slipway(folder / "home", options.bin)
    try:
        slipway.start()
        load(slipway)
        time.sleep(options.minutes * 60)
        pids = {name: find(name, slipway.home) for name in ("slipway-bridge", "slipway-agent")}
        before = {name: switches(pid) for name, pid in pids.items()}
        time.sleep(options.seconds)
        for name, pid in pids.items():
            rate = (switches(pid) - before[name]) / options.seconds
            print(f"{name}: {pss_mb(pid):.1f} MB PSS, {rate:.1f} context switches/s")
    finally:
        subprocess.run([slipway.command, "uninstall", "--yes"], env=slipway.environment, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
