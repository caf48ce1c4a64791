"""The programs in C, compiled for the run. ``CC`` names another compiler; empty, there is none."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "native"


@dataclass(frozen=True)
class Tools:
    """The commands of the run: ``load`` and ``floor``, None if that takes a compiler."""

    load: tuple
    floor: tuple | None
    compiler: str | None

    @property
    def load_in_c(self):
        return self.compiler is not None


PYTHON_LOAD = (sys.executable, "-m", "benchmarks.fallback")
WITHOUT = Tools(PYTHON_LOAD, None, None)


@contextmanager
def built():
    """The tools; what was compiled is removed in the end."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or not sys.platform.startswith("linux"):
        yield WITHOUT
        return
    with tempfile.TemporaryDirectory(prefix="greensock-benchmarks-") as folder:
        programs = {"load": "main echo connect fair udp hold slow fanout relay",
                    "floor": "floor forward"}
        for program, sources in programs.items():
            command = [compiler, "-O2", "-o", f"{folder}/{program}"]
            command += [str(SOURCES / f"{source}.c") for source in sources.split()]
            if subprocess.run(command, capture_output=True).returncode:
                # A compiler without headers is none.
                yield WITHOUT
                return
        yield Tools((f"{folder}/load",), (f"{folder}/floor",), compiler)
