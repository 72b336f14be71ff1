"""What a compiler does not say of the sources: layout, platform names in logic, files too long to read."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ["app", "tray", "wsl-bridge", "linux-vm-agent", "shared", "tests"]
PLATFORM = re.compile(r"\b(_WIN32|_WIN64|WIN32|__linux__|__unix__|Q_OS_\w+)\b")
MAX_LINES = 600


def sources():
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")
                  if path.suffix in (".cpp", ".h"))


def complaints(files):
    for file in files:
        lines = file.read_text().splitlines()
        name = file.relative_to(ROOT)
        for number, line in enumerate(lines, 1):
            if PLATFORM.search(line):
                yield f"{name}:{number}: a platform's name in logic: make it x_linux.cpp beside x_windows.cpp"
        if len(lines) > MAX_LINES and name.parts[0] != "tests":
            yield f"{name}: {len(lines)} lines; at most {MAX_LINES} are read with pleasure: divide it"
        if file.suffix == ".h" and "#pragma once" not in lines:
            yield f"{name}: a header without #pragma once"
    shown = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], capture_output=True, text=True)
    unformatted = {line.split(":")[0] for line in shown.stderr.splitlines() if "-Wclang-format" in line}
    for path in sorted(unformatted):
        yield f"{Path(path).relative_to(ROOT)}: run clang-format -i on it"
    if shown.returncode != 0 and not unformatted:
        yield f"clang-format: {shown.stderr.strip()}"


found = list(complaints(sources()))
print("\n".join(found) or "nothing to complain about")
sys.exit(1 if found else 0)
