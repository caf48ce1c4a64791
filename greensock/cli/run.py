"""``greensock run``: somebody else's program, run as python would, on gevent's hub."""

import builtins
import importlib.util
import io
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any
from zipimport import ZipImportError, zipimporter

from ..errors import CommandError
from .ctrl_c import keep_ctrl_c_to_this_greenlet
from .frames import foreign_frames
from .green import green_socketserver
from .loading import importing
from .patching import patch_all

Program = tuple[ModuleType, Callable[[], Any]]


def prepare(options: Namespace) -> Callable[[], int]:
    """Find the program and patch the process; return the function that runs it."""
    if options.is_module:
        _go_green()  # first, because packages that the module is in are imported
        main, code_of = _module(options.program)
        sys.argv = [str(main.__file__), *options.args]
    else:
        main, code_of = _script(options.program)
        _go_green()
        sys.argv = [options.program, *options.args]
    return lambda: _run(main, code_of)


def _go_green() -> None:
    patch_all()
    keep_ctrl_c_to_this_greenlet()
    sys.modules["socketserver"] = green_socketserver()


def _script(path: str) -> Program:
    full = os.path.abspath(path)
    if os.path.isdir(full) or _is_archive(full):
        _look_first_in(full)
        spec = PathFinder.find_spec("__main__", [full])
        if spec is None:
            raise CommandError(f"there is no __main__.py in {path!r}")
        return _from(spec)
    try:
        with io.open_code(full) as file:
            source = file.read()
    except OSError as error:
        raise CommandError(f"cannot read the script {path!r}: {error.strerror}") from None
    _look_first_in(os.path.dirname(os.path.realpath(path)))
    main = _main(__file__=full, __loader__=SourceFileLoader("__main__", full))
    return main, lambda: compile(source, full, "exec", dont_inherit=True)


def _is_archive(path: str) -> bool:
    # As python finds it out, which has this module, and not zipfile with all compressors.
    try:
        zipimporter(path)
    except ZipImportError:
        return False
    return True


def _module(name: str) -> Program:
    _look_first_in(os.getcwd())
    with importing(name):
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(name=name)
        if spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    if spec is None or not spec.has_location:
        raise CommandError(f"{name!r} is no program: it has no code for python -m to run")
    return _from(spec)


def _from(spec: ModuleSpec) -> Program:
    main = _main(
        __file__=spec.origin,
        __loader__=spec.loader,
        __spec__=spec,
        __package__=spec.parent,
        __cached__=spec.cached,
    )
    return main, lambda: spec.loader.get_code(spec.name)  # type: ignore[union-attr]


def _main(**attributes: object) -> ModuleType:
    main = ModuleType("__main__")
    vars(main).update({"__builtins__": builtins, "__cached__": None} | attributes)
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    return main


def _look_first_in(directory: str) -> None:
    # Python has put something of its own there, unless it was told not to.
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = directory


def _run(main: ModuleType, code_of: Callable[[], Any]) -> int:
    sys.modules["__main__"] = main
    try:
        exec(code_of(), vars(main))
    except SystemExit:
        raise
    except BaseException as error:
        frames = foreign_frames(error)
        sys.excepthook(type(error), error.with_traceback(frames), frames)
        # It was told without the frames that led here; python need only find the exit status.
        sys.excepthook = lambda *_: None
        raise
    return 0
