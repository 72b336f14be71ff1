#!/usr/bin/env python3
"""What an idle Slipway costs: memory and wake-ups of bridge and agent, some minutes after a load.

The load: 100 containers with a folder and a port one after the other, and 2,000 requests to /_ping.
Memory is the proportional set size (smaps_rollup), wake-ups are the context switches of all threads per
second, read from /proc from outside. Needs root and what tests/run prepares.
"""
import sys
import time
from pathlib import Path

from bench import Verdict, first_value, own_slipway, parser, pids_of, ping, pss_mb

PSS_MB = {"slipway-bridge": 25, "slipway-agent": 20}
SWITCHES_PER_SECOND = 10


def load(slipway, containers, pings):
    slipway.make_image()
    for _ in range(containers):
        slipway.docker("run", "--rm", "-v", "/tmp:/t", "-p", "127.0.0.1::80", "box", "/busybox", "true")
    for _ in range(pings):
        if not ping(slipway.home / "docker.sock"):
            sys.exit("no answer to /_ping")


def switches_by_thread(pids):
    counts = {}
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                counts[task] = sum(int(first_value(task / "status", kind + "voluntary_ctxt_switches"))
                                   for kind in ("", "non"))
            except OSError:
                pass  # It has just ended.
    return counts


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--minutes", type=float, default=5, help="to wait after the load")
    parsing.add_argument("--seconds", type=int, default=60, help="to count wake-ups for")
    parsing.add_argument("--containers", type=int, default=100, help="of the load")
    parsing.add_argument("--pings", type=int, default=2000, help="of the load")
    options = parsing.parse_args()
    verdict = Verdict()
    with own_slipway(options.bin) as slipway:
        slipway.start()
        load(slipway, options.containers, options.pings)
        time.sleep(options.minutes * 60)
        processes = {name: pids_of(name, slipway.home) or sys.exit(f"{name} does not run")
                     for name in PSS_MB}
        before = {name: switches_by_thread(pids) for name, pids in processes.items()}
        time.sleep(options.seconds)
        for name, pids in processes.items():
            after = switches_by_thread(pids)
            rate = sum(count - before[name].get(task, 0) for task, count in after.items()) / options.seconds
            memory = pss_mb(pids)
            verdict.add(f"{name}, memory (PSS), engine idle", f"{memory:.1f} MB", f"{PSS_MB[name]} MB",
                        memory <= PSS_MB[name])
            verdict.add(f"{name}, context switches, idle", f"{rate:.1f} a second",
                        f"{SWITCHES_PER_SECOND} a second", rate <= SWITCHES_PER_SECOND)
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
