"""What the figures are of: the machine, the versions, the code."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from .network import control
from .peers import find
from .processes import ROOT, cores

PACKAGES = ("greensock", "gevent", "greenlet", "uvloop")
# With what each is asked for its version.
PROGRAMS = {"haproxy": "-v", "socat": "-V"}


def describe(compiler):
    """Names and values, in the order in which they are to be told."""
    told = {
        "Processor": _processor(),
        "Cores": f"{os.cpu_count()}; the server on {cores()[0]}, the load on {cores()[1]}",
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "System": f"{platform.system()} {platform.release()}",
        "Congestion control": control(),
        "Load average at the start": f"{os.getloadavg()[0]:.2f}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Commit": _first_line(["git", "describe", "--always", "--dirty"]) or "unknown",
        "C compiler": _first_line([compiler, "--version"]) if compiler else "none",
    }
    for package in PACKAGES:
        try:
            told[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            told[package] = _own_version() if package == "greensock" else "absent"
    for program, option in PROGRAMS.items():
        told[program] = _version(program, option)
    return told


def _version(program, option):
    path = find(program)
    if path is None:
        return "absent"
    said = subprocess.run([path, option], capture_output=True, text=True).stdout
    return said.partition(" version ")[2].partition(" ")[0] or "unknown"


def _own_version():
    import greensock

    return greensock.__version__


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0] if done.returncode == 0 else ""
