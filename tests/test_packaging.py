"""What is built and installed is greensock, whole, and nothing else."""

import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.worldless

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "setup.cfg setup.py MANIFEST.in README CHANGES LICENSE CONTRIBUTING greensock interfaces tests"
).split()
RUNTIME = ["gevent", "greenlet", "zope.event", "zope.interface"]


def python(*args, cwd, path=None):
    """Run this Python on args, away from the checkout and unmeasured; return what it printed."""
    hidden = "COVERAGE_PROCESS_CONFIG", "PYTHONPATH"
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    if path:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *map(str, args)], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def modules():
    """Every module of the checkout, as the path it has in an installation."""
    folders = {"greensock": ROOT / "greensock", "greensock/interfaces": ROOT / "interfaces"}
    return {
        f"{package}/{path.relative_to(folder)}"
        for package, folder in folders.items()
        for path in folder.rglob("*.py")  # which does not walk through the link
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A clean copy of the checkout, so that building leaves nothing in the real one."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            rubbish = shutil.ignore_patterns("__pycache__", "test_*.py")
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=rubbish)
        else:
            shutil.copy(ROOT / name, copy)
    return copy


# Each in a process of its own, because one build may leave its mark on the next.
BUILD = """
import os, shutil, sys
from setuptools.build_meta import __legacy__ as backend

def build(name, folder, into):
    if not (pid := os.fork()):
        os.chdir(folder)
        getattr(backend, f"build_{name}")(into)
        sys.exit()
    assert not os.waitpid(pid, 0)[1]

into, unpacked, again = sys.argv[1:]
build("wheel", ".", into)
build("sdist", ".", into)
(sdist,) = (name for name in os.listdir(into) if name.endswith(".tar.gz"))
shutil.unpack_archive(os.path.join(into, sdist), unpacked)
build("wheel", os.path.join(unpacked, sdist.removesuffix(".tar.gz")), again)
"""


@pytest.fixture(scope="module")
def built(checkout, tmp_path_factory):
    """A folder with an sdist and a wheel, and one with the wheel that is built from the sdist.

    It is what an installer and ``python -m build`` ask of setuptools, without their preparations.
    """
    into, unpacked, again = (tmp_path_factory.mktemp(name) for name in ("built", "sdist", "again"))
    python("-c", BUILD, into, unpacked, again, cwd=checkout)
    return into, again


@pytest.fixture(scope="module")
def wheel(built):
    return next(built[0].glob("*.whl"))


@pytest.fixture(scope="module")
def sdist(built):
    return next(built[0].glob("*.tar.gz"))


def names(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


def metadata(wheel):
    (name,) = (name for name in names(wheel) if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(zipfile.ZipFile(wheel).read(name).decode())


def test_wheel_holds_every_module(wheel):
    """A module or subpackage that setup.cfg forgot would be missing here."""
    assert modules() == {name for name in names(wheel) if name.endswith(".py")}


def test_wheel_holds_greensock_alone(wheel):
    """No tests, and no top-level package called interfaces."""
    tops = {name.split("/")[0] for name in names(wheel)}
    version = metadata(wheel)["Version"]
    assert {"greensock", f"greensock-{version}.dist-info"} == tops


def test_wheel_holds_real_files_and_says_it_is_typed(wheel):
    """The link of the checkout does not reach the wheel."""
    kinds = {stat.S_IFMT(info.external_attr >> 16) for info in zipfile.ZipFile(wheel).infolist()}
    assert {stat.S_IFREG} == kinds
    assert {"greensock/py.typed", "greensock/status/page.html"} <= names(wheel)


def test_wheel_requires_four_packages(wheel):
    """Whatever else greensock can use is an extra."""
    required = metadata(wheel).get_all("Requires-Dist")
    always = [line for line in required if "extra ==" not in line]
    assert RUNTIME == sorted(line.replace(" ", "").split(">=")[0] for line in always)


def test_sdist_holds_the_interfaces_once(sdist):
    """As the real folder; neither the link nor a copy of what is behind it."""
    members = tarfile.open(sdist).getmembers()
    inner = {member.name.partition("/")[2] for member in members}
    assert not [member.name for member in members if member.issym() or member.islnk()]
    assert not [name for name in inner if name.startswith("greensock/interfaces")]
    assert {"interfaces/__init__.py", "tests/conftest.py", "CHANGES", "LICENSE"} <= inner


def test_wheel_from_sdist_is_the_wheel(wheel, built):
    """An sdist has no link, so this also shows that nothing depends on it."""
    assert names(wheel) == names(built[1] / wheel.name)


def test_installed_wheel_imports(wheel, tmp_path):
    """The contracts and the version are there for a user who has only the wheel."""
    target = tmp_path / "target"
    shutil.unpack_archive(wheel, target, "zip")  # which is all that installing one is about
    code = "import greensock, greensock.interfaces as it; "
    code += "print(it.__file__, it.__name__, greensock.__version__)"
    expected = [f"{target}/greensock/interfaces/__init__.py", "greensock.interfaces"]
    expected.append(metadata(wheel)["Version"])
    assert expected == python("-c", code, cwd=tmp_path, path=target).split()


def test_bare_checkout_imports(checkout, tmp_path):
    """Nothing needs to be installed to import greensock from where it was cloned."""
    code = "import greensock.interfaces as it; print(it.__file__)"
    expected = f"{checkout}/greensock/interfaces/__init__.py"
    assert expected == python("-c", code, cwd=tmp_path, path=checkout).strip()


def test_interfaces_has_one_name(tmp_path):
    """Imported as the top-level package it also looks like, its contracts would exist twice."""
    code = "try: import interfaces\nexcept ImportError as error: print(error)"
    assert "greensock.interfaces" in python("-c", code, cwd=tmp_path, path=ROOT)
