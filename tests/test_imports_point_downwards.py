"""A module imports from its own level and from those below, and mixins stand beside the servers."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.worldless

ROOT = Path(__file__).resolve().parent.parent

# A package stands for all modules in it, except greensock, whose row is its __init__ alone.
LEVELS = {
    "greensock.interfaces": 0,
    "greensock.declarations": 1,
    "greensock.errors": 1,
    "greensock.events": 1,
    "greensock.peers": 1,
    "greensock.records": 1,
    "greensock.access": 2,
    "greensock.bus": 2,
    "greensock.callables": 2,
    "greensock.counts": 2,
    "greensock.log": 2,
    "greensock.metrics": 2,
    "greensock.net": 2,
    "greensock.observers": 2,
    "greensock.settings": 2,
    "greensock.tally": 2,
    "greensock.factories": 3,
    "greensock.handlers": 3,
    "greensock.intake": 3,
    "greensock.loop": 3,
    "greensock.operations": 3,
    "greensock.requests": 3,
    "greensock.rooms": 3,
    "greensock.serving": 3,
    "greensock.steps": 3,
    "greensock.strays": 3,
    "greensock.supervision": 3,
    "greensock.toolbox": 3,
    "greensock.view": 3,
    "greensock.mixins": 4,
    "greensock.mixins.fronting": 5,
    "greensock.mixins.prefork": 5,
    "greensock.mixins.working": 5,
    "greensock.servers": 4,
    "greensock.combos": 5,
    "greensock.status": 5,
    "greensock.testing": 5,
    "greensock.__main__": 6,
    "greensock.cli": 6,
    "greensock": 6,
}
APART = ("greensock.mixins", "greensock.servers")


def find_modules():
    found = {}
    for package, folder in ("greensock", "greensock"), ("greensock.interfaces", "interfaces"):
        for path in (ROOT / folder).rglob("*.py"):  # which does not walk through the link
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts])
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = find_modules()


def row_of(module):
    """The row of LEVELS that speaks for a module, or None."""
    if module in LEVELS:
        return module
    package = module.rpartition(".")[0]
    return None if package in ("", "greensock") else row_of(package)


def imports_of(module):
    """The (line, module) pairs of all imports in a module, wherever in it they stand."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else source


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_has_a_level(module):
    """A new module takes its place in the house before anything imports it."""
    assert row_of(module), f"{module} has no level yet: give it a row in LEVELS in {__file__}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_downwards(module):
    """Neither at the top of a module nor inside its functions is anything imported from above."""
    wrong = []
    for line, target in imports_of(module):
        if target.partition(".")[0] != "greensock":
            continue
        here, there = row_of(module), row_of(target)
        if here and there and (LEVELS[there] > LEVELS[here] or (here, there) == APART):
            levels = f"level {LEVELS[here]} from level {LEVELS[there]}"
            wrong.append(f"{MODULES[module]}:{line}: {module} imports {target}, {levels}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", sorted(m for m in MODULES if LEVELS.get(row_of(m)) == 0))
def test_contracts_import_zope_interface_alone(module):
    """They can be read, and honoured, without anything that serves."""
    foreign = {name for _, name in imports_of(module) if row_of(name) != "greensock.interfaces"}
    assert foreign <= {"typing", "zope.interface"}
