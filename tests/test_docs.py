"""What the documentation shows runs, and it shows everything that is promised."""

import re

import pytest

from greensock import interfaces
from tests.documents import DOCS, answers_of, code_of

PAGES = sorted(DOCS.glob("*.rst"))
# What each server answers to a visitor who says 'visitor', and says no more.
ANSWERS = {
    "index": ["VISITOR\n"],
    "tutorial": [
        "Who are you?\nHello, visitor\n",
        "Who are you?\nvisitor is here\n",
        "Who are you?\nvisitor is here\n",
    ],
    "models": ["here\n", "400"],
    "handlers": ["VISITOR\n", "Your name?\nHello, visitor\n", "visitor\n"],
    "operations": ["visitor\n"],
    "workers": ["VISITOR\n"],
    "chat": ["said\n"],
    "moving": ["visitor\n"],
}


# A supervisor runs no hub, on which a visitor in a patched process would wait.
apart = pytest.param(["workers"], marks=pytest.mark.worldless)


@pytest.mark.parametrize("pages", [apart, sorted({*ANSWERS} - {"workers"})], ids=len)
def test_code_runs(pages):
    """Every server in it answers, and ends. The one that forks workers has a process of its own."""
    answers = answers_of(*(DOCS / f"{page}.rst" for page in pages))
    expected = [answer for page in pages for answer in ANSWERS[page]]
    assert len(expected) == len(answers)
    for part, answer in zip(expected, answers, strict=True):
        assert part == answer or part == "400" and part in answer


@pytest.mark.worldless
def test_every_server_in_the_code_is_visited():
    served = {
        page.stem: count
        for page in PAGES
        if (count := sum(block.count("serve_forever()") for block in code_of(page)))
    }
    assert {page: len(answers) for page, answers in ANSWERS.items()} == served


@pytest.mark.worldless
def test_no_block_escapes_its_extraction():
    for page in PAGES:
        assert page.read_text().count(".. code-block:: python") == len(code_of(page))


@pytest.mark.worldless
def test_reference_has_every_contract():
    reference = "".join(page.read_text() for page in (DOCS / "reference").glob("*.rst"))
    named = re.findall(r"^\.\. autointerface:: \S+\.(\w+)$", reference, re.MULTILINE)
    assert sorted(interfaces.__all__) == sorted(named)
