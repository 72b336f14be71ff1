"""Builds the programs, runs every test that ctest knows, and counts test functions.

ctest is the register only (names, labels, time limits): it counts programs, and lets what a killed
test leaves behind live on. Each Qt Test program writes JUnit, from which the functions are counted;
any other program counts as one test, and exit status 77 as its skip.
"""
import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITES = ["unit", "integration", "system"]  # From the cheapest to the dearest.
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
SKIPPED_EXIT = 77
GRACE_SECONDS = 2
# A sanitizer's report, wherever it was printed.
REPORT = re.compile(r"(Address|Leak|Thread)Sanitizer: |: runtime error: ")
FRAME_FUNCTIONS = {"initTestCase", "cleanupTestCase"}  # Counted only where they fail or skip.


@dataclass
class Program:
    name: str
    command: list
    labels: list
    timeout: float
    environment: dict
    folder: str

    @property
    def is_qt_test(self):
        return Path(self.command[0]).name.startswith("tst_")


@dataclass
class Outcome:
    passed: int = 0
    failed: list = field(default_factory=list)   # (function, message)
    skipped: list = field(default_factory=list)  # (function, reason; remedy)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Builds what is missing and runs the tests. Exit status 0 or 1.",
        epilog="JUnit files land in build/<preset>/junit.")
    parser.add_argument("filter", nargs="*",
                        help="regular expressions: only programs whose name (unit/io/tst_relay) one matches")
    parser.add_argument("--preset", default="dev", help="dev (the default), asan, tsan or release")
    parser.add_argument("--no-skip", action="store_true", help="a skipped test is a failure")
    parser.add_argument("--no-build", action="store_true", help="run what was built last")
    parser.add_argument("--list", action="store_true", help="names and labels of the programs; runs nothing")
    return parser.parse_args()


def say(text):
    print(text, flush=True)


def build(preset, folder, configure_only):
    log = folder / "build.log"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"CCACHE_DIR": str(ROOT / "build/ccache")} | os.environ | \
        {"CCACHE_BASEDIR": str(ROOT), "NINJA_STATUS": "[%f/%t] "}
    started = time.monotonic()
    commands = [["cmake", "--preset", preset]]
    if not configure_only:
        commands.append(["cmake", "--build", "--preset", preset])
    for command in commands:
        with open(log, "ab" if command[1] == "--build" else "wb") as out:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=subprocess.STDOUT)
        if done.returncode != 0:
            say("".join(log.read_text(errors="replace").splitlines(True)[-60:]))
            sys.exit(f"build: {' '.join(command)} failed; all of it is in {log.relative_to(ROOT)}")
    if not configure_only:
        say(f"build: {preset}, {time.monotonic() - started:.0f} s")


def registered(folder):
    """Every program ctest knows, cheapest suite first and else in the order of tests/CMakeLists.txt."""
    shown = subprocess.run(["ctest", "--test-dir", str(folder), "--show-only=json-v1"], check=True,
                           capture_output=True, text=True).stdout
    programs = []
    for test in json.loads(shown)["tests"]:
        properties = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
        programs.append(Program(
            name=test["name"], command=test.get("command") or [test["name"]],
            labels=properties.get("LABELS", []), timeout=properties.get("TIMEOUT", 60),
            environment=dict(entry.split("=", 1) for entry in properties.get("ENVIRONMENT", [])),
            folder=properties.get("WORKING_DIRECTORY", str(folder))))
    suite_of = {name: rank for rank, name in enumerate(SUITES)}
    return sorted(programs, key=lambda program: suite_of.get(program.name.split("/")[0], len(SUITES)))


def prepare_engine():
    """The machine's root file system, the docker command line and other clients, for tests labelled `engine`."""
    unpacked = ["--unpacked"] if os.geteuid() == 0 else []
    for command in ([ROOT / "packaging/rootfs/build", *unpacked], [ROOT / "packaging/rootfs/cli"],
                    [ROOT / "packaging/rootfs/cli", "--old"],
                    [ROOT / "packaging/rootfs/cli", "--registry"],
                    [ROOT / "packaging/rootfs/cli", "--exporter"],
                    [ROOT / "tests/system/node_packages", "clients"],
                    [ROOT / "tests/system/node_packages", "watchers"]):
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
            say(f"{command[0].relative_to(ROOT)} failed: tests that need it will fail, or skip and say why")


def environment_of_tests(scratch):
    """Nothing of the user's own Slipway or Docker is within reach of a test that forgets its own home, and
    no cache or setting of a program that a test runs is written outside the scratch folder."""
    folders = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("DOCKER_", "SLIPWAY_", "COMPOSE_", "BUILDX_", "SUDO_", *folders))}
    os.mkdir(f"{scratch}/user")
    cli = ROOT / "build/cli/bin"
    root = ROOT / "build/rootfs/root"
    environment |= {
        "HOME": f"{scratch}/user",
        "SLIPWAY_HOME": f"{scratch}/home",
        "DOCKER_CONFIG": f"{scratch}/docker",
        "SLIPWAY_CLI": str(cli),
        "SLIPWAY_OLD_CLI": str(ROOT / "build/cli-old/bin"),
        "SLIPWAY_REGISTRY": str(ROOT / "build/registry/bin"),
        "SLIPWAY_NODE_CLIENTS": str(ROOT / "build/node-clients"),
        "SLIPWAY_NODE_WATCHERS": str(ROOT / "build/node-watchers"),
        "SLIPWAY_EXPORTER": str(ROOT / "build/exporter/bin"),
        "SLIPWAY_ROOTFS": str(root if root.exists() and os.geteuid() == 0 else f"{root}.tar.zst"),
        "PATH": f"{cli}:{os.environ['PATH']}",
    }
    return environment


def sanitizer_options(reports):
    """Reports go to files: nobody reads the bridge's standard error, and other users' programs report too."""
    reports.parent.chmod(0o711)
    reports.mkdir()
    reports.chmod(0o1777)
    log = f"log_path={reports}/report"
    return {"ASAN_OPTIONS": f"{log}:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": f"{log}:print_stacktrace=1",
            "TSAN_OPTIONS": log}


def take_reports(reports):
    texts = []
    for file in sorted(reports.iterdir()):
        texts.append(file.read_text(errors="replace"))
        file.unlink()
    return "".join(texts)


def children_of(pid):
    """The pids of its children, and of theirs."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children_of(child)]
    except OSError:
        pass  # It has just ended.
    return found


def reap():
    """Collects every child that has ended, and returns the living descendants' names by pid."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass
    names = {}
    for pid in children_of(os.getpid()):
        try:
            names[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            pass
    return names


def end_left_overs():
    """The names of what a test has left running, after ending it. As a subreaper this process inherits
    it, whatever session or group it moved to. What is just ending gets a moment for that."""
    left = until(lambda names: not names, GRACE_SECONDS)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if left:
        until(lambda names: not set(names) & set(left), GRACE_SECONDS)
    return sorted(set(left.values()))


def until(condition, seconds):
    """The names of living descendants once the condition holds for them, or the time is up."""
    deadline = time.monotonic() + seconds
    while not condition(names := reap()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return names


def outcome_of_junit(program, ending, file):
    outcome = Outcome()
    try:
        cases = ElementTree.parse(file).getroot().iter("testcase")
    except ElementTree.ParseError:  # It ended in the midst of its tests.
        return Outcome(failed=[(program.name, ending)])
    for case in cases:
        name = case.get("name")
        problems = case.findall("failure") + case.findall("error")
        skips = case.findall("skipped")
        if problems:
            outcome.failed.append((name, problems[0].get("message") or ""))
        elif skips:
            outcome.skipped.append((name, skips[0].get("message") or "no reason given"))
        elif name not in FRAME_FUNCTIONS:
            outcome.passed += 1
    return outcome


def outcome_of_exit(program, status, ending, output):
    last = (output.strip().splitlines() or [""])[-1]
    if status == SKIPPED_EXIT:
        return Outcome(skipped=[(program.name, last)])
    if status:
        return Outcome(failed=[(program.name, f"{ending}: {last}".removesuffix(": "))])
    return Outcome(passed=1)


def run_program(program, environment, junit, reports):
    """Its outcome and all it printed, with what sanitizers reported of it and of what it started."""
    file = junit / (program.name.replace("/", ".") + ".xml")
    file.unlink(missing_ok=True)
    command = list(program.command)
    if program.is_qt_test:
        command += ["-o", f"{file},junitxml", "-o", "-,txt"]
    if not os.access(command[0], os.X_OK) and not shutil.which(command[0]):
        return Outcome(failed=[(program.name, f"{command[0]} is not built: run without --no-build")]), ""
    with tempfile.TemporaryFile() as out:
        # Qt's own limit is on a function, but runs on over several on a busy machine, as its watching thread
        # then misses that one has ended and the next begun.
        limit = {"QTEST_FUNCTION_TIMEOUT": str(int(program.timeout * 1000))}
        process = subprocess.Popen(command, cwd=program.folder, env=environment | program.environment | limit,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            status = process.wait(program.timeout)
            ending = f"died of {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status, ending = -signal.SIGKILL, f"not done after its limit of {program.timeout:.0f} s"
        left = end_left_overs()
        out.seek(0)
        output = out.read().decode(errors="replace")

    if not program.is_qt_test:
        outcome = outcome_of_exit(program, status, ending, output)
    elif status >= 0 and file.exists():
        outcome = outcome_of_junit(program, ending, file)
        if status != 0 and not outcome.failed:
            outcome.failed.append((program.name, ending))
    else:
        outcome = Outcome(failed=[(program.name, ending)])
    if left:
        outcome.failed.append((program.name, f"left running: {', '.join(left)}"))
    output += take_reports(reports)
    if report := REPORT.search(output):
        outcome.failed.append((program.name, output[report.start():].splitlines()[0]))
    return outcome, output


def report_program(program, outcome, seconds, output, no_skip):
    verdict = "FAIL" if outcome.failed or (no_skip and outcome.skipped) else \
        "ok" if outcome.passed else "skip"
    counts = f"{outcome.passed} passed" + \
        (f", {len(outcome.failed)} failed" if outcome.failed else "") + \
        (f", {len(outcome.skipped)} skipped" if outcome.skipped else "")
    say(f"{verdict:4}  {program.name:44} {counts:32} {seconds:7.1f} s")
    if outcome.failed:
        say("".join(f"      | {line}\n" for line in output.splitlines()).rstrip())


def report_all(outcomes, no_skip):
    failures = [(name, *entry) for name, outcome in outcomes for entry in outcome.failed]
    skips = [(name, *entry) for name, outcome in outcomes for entry in outcome.skipped]
    if failures:
        say("\nfailed:")
        for name, function, message in failures:
            say(f"  {name} {function}: {message}")
    if skips:
        say("\nskipped:")
        for name, function, reason in skips:
            say(f"  {name} {function}: {reason}")
    passed = sum(outcome.passed for _, outcome in outcomes)
    failed, skipped = (len(failures) + len(skips), 0) if no_skip else (len(failures), len(skips))
    if passed + failed + skipped == 0:
        sys.exit("no test has this name; tests/run --list shows them")
    say(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def main():
    arguments = parse_arguments()
    folder = ROOT / "build" / arguments.preset
    if not arguments.no_build:
        build(arguments.preset, folder, configure_only=arguments.list)
    programs = [program for program in registered(folder)
                if not arguments.filter or any(re.search(f, program.name) for f in arguments.filter)]
    if arguments.list:
        for program in programs:
            say(f"{program.name:44} {' '.join(program.labels)}".rstrip())
        return 0
    if any("engine" in program.labels for program in programs):
        prepare_engine()

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    junit = folder / "junit"
    junit.mkdir(exist_ok=True)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="slipway-tests-") as scratch:
        reports = Path(scratch, "reports")
        environment = environment_of_tests(scratch) | sanitizer_options(reports)
        for program in programs:
            started = time.monotonic()
            outcome, output = run_program(program, environment, junit, reports)
            report_program(program, outcome, time.monotonic() - started, output, arguments.no_skip)
            outcomes.append((program.name, outcome))
    return report_all(outcomes, arguments.no_skip)


if __name__ == "__main__":
    sys.exit(main())
