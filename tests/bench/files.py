#!/usr/bin/env python3
"""What a share costs: Slipway's, in fuse mode, beside the host's own ext4, sshfs and libfuse's passthrough_ll.

Each round asks all of them, each time beginning with another one. A row is the ratio of the medians to native;
cold is on a fresh mount, with the host's page cache warm. Slipway's mount is the machine's own, attached here too:
what a container has is a bind of it. Needs root, git, 8 GB of disk below --folder, some 2 GB of memory for a disk
in RAM, and what tests/run and tests/bench/rivals prepare.
"""
import contextlib
import json
import os
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import file_work as work
from bench import ROOT, Verdict, own_slipway, parser, pids_of, pss_mb
from mounts import attach_mount_of, enter_own_mounts

RIVALS = ROOT / "build/rivals/bin"
FORGET_SECONDS = 86400  # How long a rival may trust what it was told: nothing else changes the folder.

# What is done, in this order, on a mount made anew for each group: a row's name, the work, the limit of its ratio
# to native. What has no name is not measured.
PLAN = [[
    ("stat tree, cold", work.stat_tree, 2.0),
    ("stat tree, warm", work.stat_tree, 1.1),
], [
    ("grep -r, cold", work.grep, 4),
    ("grep -r, first warm pass", work.grep, 3),
    ("grep -r, second warm pass", work.grep, 1.3),
    (None, work.refresh_index),
    ("git status, warm", work.git_status, 1.3),
], [
    ("git status, cold", work.git_status, 3),
], [
    ("tar x", work.unpack, 8),
    ("rm -rf", work.remove, 6),
    ("create 5,000 files", work.create, 6),
    (None, lambda folder: work.run("rm", "-rf", folder / "created")),
    ("npm-like: install, build, watch", work.npm_like, 2),
    ("write 1 GiB", work.write_big, 1.3),
    (None, lambda folder: (folder / "written").unlink()),
], [
    ("read 1 GiB, cold", work.read_big, 2),
    ("read 1 GiB, warm", work.read_big, 1.2),
    ("4k direct random reads, on disk", work.read_at_random, 2),
    (None, work.make_scratch),
    ("4k direct random writes, on disk", work.write_at_random, 2),
    (None, lambda folder: (folder / "scratch").unlink()),
]]
RAM_PLAN = [[
    ("4k direct random reads, RAM", work.read_at_random, 20),
    (None, work.make_scratch),
    ("4k direct random writes, RAM", work.write_at_random, 10),
    (None, lambda folder: (folder / "scratch").unlink()),
]]
# Where passthrough_ll, which crosses no machine's boundary, is to be beaten, and how near it elsewhere.
BESIDE_PASSTHROUGH = {"stat": 1.0, "grep": 1.0, "git": 1.0, "write": 1.0, "read": 1.0}
BESIDE_PASSTHROUGH_ELSE = 1.6

CHANGES = 300
NODE_BYTES = 300


class Native:
    def __init__(self, folder):
        self.folder = folder

    def fresh(self):
        pass

    def requests(self):
        return None

    def close(self):
        pass


class Rival(Native):
    """A FUSE server that is started for each fresh mount."""

    def __init__(self, source, start):
        self.source = source
        self.start = start
        self.stack = contextlib.ExitStack()
        super().__init__(Path(tempfile.mkdtemp(prefix="slwb-mount-")))

    def fresh(self):
        self.stack.close()
        process = self.start(self.source, self.folder)
        self.stack.callback(self.end, process)
        until_mounted(self.folder)

    def end(self, process):
        """What was read ahead may hold the mount for a moment longer."""
        for tries_left in range(50, -1, -1):
            try:
                work.run("umount", self.folder)
                break
            except subprocess.CalledProcessError:
                if tries_left == 0:
                    raise
                time.sleep(0.1)
        process.wait()

    def close(self):
        self.stack.close()
        self.folder.rmdir()


def passthrough_ll(source, mount):
    options = f"source={source},cache=always,timeout={FORGET_SECONDS},allow_other,clone_fd"
    return subprocess.Popen([RIVALS / "passthrough_ll", "-f", "-o", options, mount], stderr=subprocess.DEVNULL)


def sshfs(source, mount):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.Popen([RIVALS / "sftp-server"], stdin=theirs, stdout=theirs)
        options = (f"passive,allow_other,dir_cache=yes,dcache_timeout={FORGET_SECONDS},kernel_cache,"
                   f"entry_timeout={FORGET_SECONDS},attr_timeout={FORGET_SECONDS}")
        return subprocess.Popen([RIVALS / "sshfs", "-f", "-o", options, f":{source}", mount], stdin=ours, stdout=ours,
                                stderr=subprocess.DEVNULL, env=os.environ | {"LD_LIBRARY_PATH": str(RIVALS)})


RIVAL_STARTS = {"passthrough_ll": passthrough_ll, "sshfs": sshfs}
FILES_OF_PACKAGE = 80  # That a rival knows at a time: some 57 with folders, and those of other work.


def open_files():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_open_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files(), open_files()))


class OurShare(Native):
    def __init__(self, slipway, source):
        self.slipway = slipway
        self.source = source
        self.mounted = False
        super().__init__(Path(tempfile.mkdtemp(prefix="slwb-mount-")))
        self.grant()

    def grant(self):
        self.slipway.docker("run", "--rm", "-v", f"{self.source}:/x", "box", "/busybox", "true")

    def fresh(self):
        self.close_mount()
        self.slipway.run("restart")
        self.grant()
        init = json.loads((self.slipway.home / "run/machine.json").read_text())["pid"]
        attach_mount_of(init, f"/mnt/host{self.source}", self.folder)
        self.mounted = True

    def requests(self):
        return int(self.files().get("requests", 0))

    def files(self):
        done = subprocess.run([self.slipway.command, "status", "--json"], env=self.slipway.environment,
                              capture_output=True, text=True)
        return json.loads(done.stdout)["files"]

    def close_mount(self):
        if self.mounted:
            work.run("umount", self.folder)
        self.mounted = False

    def close(self):
        self.close_mount()
        self.folder.rmdir()


def until_mounted(folder):
    for _ in range(500):
        if folder.is_mount():
            return
        time.sleep(0.01)
    sys.exit(f"{folder} was not mounted within 5 s")


class Files:
    def __init__(self, rounds, only):
        self.rounds = rounds
        self.only = only
        self.seconds = {}
        self.messages = {}

    def measure(self, plan, mounts):
        names = list(mounts)
        for count in range(self.rounds):
            for name in names[count % len(names):] + names[:count % len(names)]:
                for group in plan:
                    if any(self.only in (what or "") for what, *_ in group):
                        mounts[name].fresh()
                        self.measure_group(group, name, mounts[name])

    def measure_group(self, group, name, mount):
        told = []
        for what, do, *_ in group:
            if what is None:
                do(mount.folder)
                continue
            os.sync()  # Else this one waits for what the one before wrote.
            before = mount.requests()
            took = do(mount.folder)
            self.seconds.setdefault(what, {}).setdefault(name, []).append(took)
            told.append(f"{what} {took:.3f} s")
            if before is not None:
                self.messages.setdefault(what, []).append(mount.requests() - before)
        print(f"{name}: {'; '.join(told)}", flush=True)

    def tell(self, verdict, plan):
        for what, _, *limit in (step for group in plan for step in group):
            if what not in self.seconds:
                continue
            of = {name: statistics.median(taken) for name, taken in self.seconds[what].items()}
            native, ours = of.pop("native"), of.pop("slipway")
            slower = [f"slower than {name} allows" for name, factor in self.rivals(what)
                      if name in of and ours > factor * of[name]]
            beside = ", ".join(f"{name} {seconds / native:.2f}" for name, seconds in of.items())
            measured = f"{ours / native:.2f} times {native:.3f} s ({beside})"
            verdict.add(what, "; ".join([measured, f"{statistics.median(self.messages[what]):.0f} messages", *slower]),
                        f"{limit[0]}", ours <= limit[0] * native and not slower)

    @staticmethod
    def rivals(what):
        factor = BESIDE_PASSTHROUGH.get(what.split()[0].rstrip(","), BESIDE_PASSTHROUGH_ELSE)
        return ("sshfs", 1.0), ("passthrough_ll", factor)


def coherence(verdict, share, source):
    """How long after a change on the host the machine's cached attributes are the new ones."""
    share.fresh()
    path, seen = source / "changing", share.folder / "changing"
    path.write_bytes(b"")
    took = []
    for size in range(1, CHANGES + 1):
        with open(path, "ab", buffering=0) as file:
            os.stat(seen)
            file.write(b"x")
        begun = time.perf_counter()
        while os.stat(seen).st_size != size:
            if time.perf_counter() - begun > 5:
                sys.exit(f"change {size} is not seen after 5 s")
        took.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    took.sort()
    for what, value, limit in (("median", took[CHANGES // 2], 2), ("99 of 100", took[CHANGES * 99 // 100], 20)):
        verdict.add(f"a host's change is seen, {what}", f"{value:.2f} ms", f"{limit} ms", value <= limit)


def memory(verdict, share):
    for pid in pids_of("slipway-bridge", share.slipway.home):  # It has room left from the work before.
        os.kill(pid, signal.SIGTERM)
        select.select([os.pidfd_open(pid)], [], [], 10)
    share.slipway.start()
    share.fresh()
    bridge = pids_of("slipway-bridge", share.slipway.home)
    before, known = pss_mb(bridge), int(share.files().get("known", 0))
    work.stat_tree(share.folder)
    known = int(share.files()["known"]) - known
    each = (pss_mb(bridge) - before) * 2**20 / known
    verdict.add(f"the bridge's memory for each of {known} files", f"{each:.0f} bytes", f"{NODE_BYTES} bytes",
                each <= NODE_BYTES)
    work.read_big(share.folder)
    before = pss_mb(bridge)
    share.fresh()
    work.read_big(share.folder)
    growth = pss_mb(bridge) - before
    verdict.add("its growth by a GiB that is read", f"{growth:+.1f} MB", "1 MB", growth <= 1)


@contextlib.contextmanager
def disk_in_ram():
    """An ext4 on a loop device whose file is in memory."""
    with contextlib.ExitStack() as stack:
        memory, folder = (Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slwb-ram-"))) for _ in range(2))
        work.run("mount", "-t", "tmpfs", "tmpfs", memory)
        stack.callback(work.run, "umount", memory)
        image = memory / "disk"
        work.run("truncate", "-s", f"{work.BIG_MB + work.SCRATCH_MB + 256}M", image)
        work.run("mkfs.ext4", "-q", image)
        work.run("mount", "-o", "loop,noatime", image, folder)
        stack.callback(work.run, "umount", folder)
        yield folder


def main():
    parsing = parser(__doc__)
    parsing.add_argument("--rounds", type=int, default=5)
    parsing.add_argument("--folder", type=Path, default=ROOT / "build", help="on an ext4; build/ if not given")
    parsing.add_argument("--beside", default="passthrough_ll,sshfs", help="the rivals to measure, by commas")
    parsing.add_argument("--packages", type=int, default=400, help="of the tree, of 50 files each")
    parsing.add_argument("--only", default="", help="rows whose name has this, and those of the same mount")
    options = parsing.parse_args()
    rivals = {name: RIVAL_STARTS[name] for name in options.beside.split(",") if name}
    if not RIVALS.exists():
        sys.exit(f"{RIVALS} is missing; tests/bench/rivals makes it")
    enter_own_mounts()
    raise_open_files()
    if "passthrough_ll" in rivals and open_files() < FILES_OF_PACKAGE * options.packages:
        print(f"without passthrough_ll: it has a descriptor for each file, and there may be {open_files()} "
              f"(ulimit -Hn); --packages {open_files() // FILES_OF_PACKAGE} would do")
        del rivals["passthrough_ll"]
    verdict = Verdict()
    files = Files(options.rounds, options.only)
    with contextlib.ExitStack() as stack:
        disk = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="files-", dir=options.folder)))
        ram = stack.enter_context(disk_in_ram())
        slipway = stack.enter_context(own_slipway(options.bin))  # Ends first: it has folders of them open.
        slipway.home.mkdir()
        (slipway.home / "settings.json").write_text(json.dumps({"files": "fuse"}))
        slipway.start()
        slipway.make_image()
        print("making the tree", flush=True)
        work.make(disk, options.packages)
        (ram / "big").write_bytes((disk / "big").read_bytes())
        for plan, source in ((PLAN, disk), (RAM_PLAN, ram)):
            mounts = {"native": Native(source), "slipway": OurShare(slipway, source),
                      **{name: Rival(source, start) for name, start in rivals.items()}}
            try:
                files.measure(plan, mounts)
            finally:
                for mount in mounts.values():
                    mount.close()
            files.tell(verdict, plan)
            if plan is PLAN and not options.only:
                own = OurShare(slipway, source)
                coherence(verdict, own, source)
                memory(verdict, own)
                own.close()
    return verdict.tell()


if __name__ == "__main__":
    sys.exit(main())
