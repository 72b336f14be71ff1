"""The work that tests/bench/files.py measures: a tree like a project's with node_modules, and what is done to it.

The tree has 50 files a package, 20,000 in some 2,700 folders if there are 400, of 20 bytes to 200 KB (log-normal, median 1.5 KB), the same ones
each time, and is a git repository. Beside it lie a tar of it and a file of a GiB.
"""
import mmap
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

FILES_PER_PACKAGE = 50
BIG_MB = 1024
SCRATCH_MB = 256  # Of the file that is written at random.
CREATED = 5000
BLOCK = 4096
BLOCKS = 8000
INSTALLED = 40  # Packages of the npm-like run.
EDITS = 20

NOWHERE = "zqxjkv"  # In no file.


def run(*words, **options):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def make(folder, packages):
    """Makes all of it in an empty folder."""
    chosen = random.Random(7)
    words = [f"word{i}" for i in range(5000)]
    pool = " ".join(chosen.choice(words) + chosen.choice(["", "(", ");", ".", "\n"]) for _ in range(60000)).encode()
    for number in range(packages):
        base = folder / f"tree/node_modules/pkg-{chosen.choice(['core', 'util', 'babel', 'react', 'types'])}-{number:03d}"
        below = chosen.sample(["lib", "dist", "src", "test", "lib/internal", "dist/esm", "dist/cjs", "types", "bin"],
                              chosen.randint(2, 8))
        folders = [base, *(base / name for name in below)]
        for path in folders:
            path.mkdir(parents=True, exist_ok=True)
        for count in range(FILES_PER_PACKAGE):
            size = max(20, min(200_000, int(chosen.lognormvariate(7.3, 1.2))))
            begin = chosen.randint(0, len(pool) - size)
            kind = chosen.choice(["js", "d.ts", "json", "md", "map"])
            (chosen.choice(folders) / f"module{count}.{kind}").write_bytes(pool[begin:begin + size])
    tree = folder / "tree"
    git = ("git", "-C", tree, "-c", "user.name=bench", "-c", "user.email=bench@localhost")
    run(*git, "init", "-q")
    run(*git, "add", "-A")
    run(*git, "commit", "-qm", "all")
    run("tar", "-C", tree, "-cf", folder / "tree.tar", "node_modules")
    cache = folder / "packages"
    cache.mkdir()
    for path in sorted((tree / "node_modules").iterdir())[:INSTALLED]:
        run("tar", "-C", path.parent, "-czf", cache / f"{path.name}.tgz", path.name)
    with open(folder / "big", "wb") as big:
        for _ in range(BIG_MB):
            big.write(chosen.randbytes(1 << 20))


# Each takes the folder and gives the seconds that it took.

def timed(work):
    def measure(folder):
        begun = time.perf_counter()
        work(folder)
        return time.perf_counter() - begun
    return measure


@timed
def stat_tree(folder):
    run("find", folder / "tree/node_modules", "-ls")


@timed
def grep(folder):
    subprocess.run(["grep", "-rq", NOWHERE, folder / "tree/node_modules"])


@timed
def git_status(folder):
    run("git", "-C", folder / "tree", "status", env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"})


def refresh_index(folder):
    """So that git need not read each file again because its inode number is another one's here."""
    run("git", "-C", folder / "tree", "status")


@timed
def unpack(folder):
    (folder / "unpacked").mkdir()
    run("tar", "-C", folder / "unpacked", "--no-same-owner", "-xf", folder / "tree.tar")


@timed
def remove(folder):
    run("rm", "-rf", folder / "unpacked")


@timed
def create(folder):
    (folder / "created").mkdir()
    for number in range(CREATED):
        with open(folder / f"created/{number}", "xb", buffering=0) as file:
            file.write(b"x" * 1500)


@timed
def write_big(folder):
    run("dd", "if=/dev/zero", f"of={folder}/written", "bs=1M", f"count={BIG_MB}")


@timed
def read_big(folder):
    run("dd", f"if={folder}/big", "of=/dev/null", "bs=1M")


def at_random(path, blocks, once, flags):
    chosen = random.Random(1)
    descriptor = os.open(path, flags | os.O_DIRECT)
    with mmap.mmap(-1, BLOCK) as aligned:
        aligned.write(b"w" * BLOCK)
        begun = time.perf_counter()
        for _ in range(BLOCKS):
            once(descriptor, aligned, chosen.randrange(blocks) * BLOCK)
        took = time.perf_counter() - begun
    os.close(descriptor)
    return took


def read_at_random(folder):
    return at_random(folder / "big", (BIG_MB << 20) // BLOCK,
                     lambda fd, page, offset: os.preadv(fd, [page], offset), os.O_RDONLY)


def write_at_random(folder):
    return at_random(folder / "scratch", (SCRATCH_MB << 20) // BLOCK,
                     lambda fd, page, offset: os.pwritev(fd, [page], offset), os.O_WRONLY)


def make_scratch(folder):
    run("dd", "if=/dev/zero", f"of={folder}/scratch", "bs=1M", f"count={SCRATCH_MB}")


@timed
def npm_like(folder):
    """Install from a cache, build, and rebuild at each edit, as npm and a bundler do."""
    project = folder / "project"
    modules = project / "node_modules"
    (modules / ".bin").mkdir(parents=True)
    (project / "dist").mkdir()
    for package in sorted((folder / "packages").iterdir()):
        run("tar", "-C", modules, "--no-same-owner", "-xzf", package)
        (modules / ".bin" / package.stem).symlink_to(f"../{package.stem}")
    sources = bundle(project)
    for number in range(EDITS):
        edited = sources[number * len(sources) // EDITS]
        edited.write_bytes(edited.read_bytes() + b"// edited\n")
        bundle(project)
    shutil.rmtree(project)


def bundle(project):
    """Looks at every file, reads those that are newer than the bundle, and writes that and its map anew."""
    output = project / "dist/bundle.js"
    built = output.stat().st_mtime_ns if output.exists() else 0
    sources, parts = [], []
    for folder, _, names in os.walk(project / "node_modules"):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            sources.append(Path(path))
            if os.stat(path).st_mtime_ns >= built:
                with open(path, "rb") as file:
                    parts.append(file.read())
    new = project / "dist/bundle.js.new"
    new.write_bytes(b"".join(parts))
    new.rename(output)
    (project / "dist/bundle.js.map").write_bytes(b"m" * 20_000)
    return sources
