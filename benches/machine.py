"""What a benchmark says about the machine it ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

# Load average of the last minute from which on the machine does not count as idle.
BUSY = 0.5


def describe_machine(binary: Path, packages: tuple[str, ...]) -> dict:
    """Processor, memory, load, system and versions, as far as the system tells."""

    def output(*command: str | Path) -> str | None:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    def field(path: str, name: str, separator: str) -> str | None:
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            return None
        found = (line.split(separator, 1)[1] for line in lines if line.startswith(name))
        return next((text.strip().strip('"') for text in found), None)

    return {
        "cpu": field("/proc/cpuinfo", "model name", ":") or platform.processor(),
        "cores": os.cpu_count(),
        "memory": field("/proc/meminfo", "MemTotal", ":"),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": field("/etc/os-release", "PRETTY_NAME", "=") or platform.system(),
        "kernel": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "flowrake": output(binary, "--version"),
        "rustc": output("rustc", "--version"),
        "commit": output("git", "-C", Path(__file__).parent, "describe", "--always", "--dirty"),
    }


def warn_if_busy(machine: dict) -> bool:
    """Whether the machine has something else to do, said on standard error."""
    load = machine["load_average"][0] if machine["load_average"] else 0.0
    if load > BUSY:
        print(f"warning: the machine is busy (load {load:.1f})", file=sys.stderr)
    return load > BUSY


def summary(samples: list[float]) -> str:
    """Median, smallest and largest."""
    return f"{statistics.median(samples):9.3f} {min(samples):9.3f} {max(samples):9.3f}"
