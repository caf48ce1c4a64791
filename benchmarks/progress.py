"""How far the run is, on standard error if that is a terminal."""

import sys
from contextlib import contextmanager


@contextmanager
def progress(total, unit="measurement"):
    """A function to be called with a line before each of ``total`` steps."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield _plain(total)
        return
    # None is for a terminal alone.
    with tqdm(total=total, disable=None, dynamic_ncols=True, unit=unit) as bar:
        begun = False

        def step(line):
            nonlocal begun
            bar.update(int(begun))
            begun = True
            bar.set_description(line)

        yield step
        bar.update(int(begun))


def _plain(total):
    count = 0

    def step(line):
        nonlocal count
        count += 1
        if sys.stderr.isatty():
            print(f"\r\033[K{count}/{total} {line}", end="", file=sys.stderr, flush=True)

    return step
