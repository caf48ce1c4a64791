"""What README says is so: its code runs, and its commands, files and numbers are right."""

import re

import greensock
from tests.documents import DOCS, answers_of, code_of
from tests.programs import ROOT

README = ROOT / "README"
TEXT = README.read_text()
CODE = code_of(README)


def test_code_runs():
    """Every server in it answers a visitor who says 'visitor', and ends."""
    shouted, shouted_again, site, greeted = answers_of(README)
    assert "VISITOR\n" == shouted == shouted_again
    assert "400" in site  # it speaks HTTP, and the visitor does not
    assert "Your name?\nHello, visitor\n" == greeted


def test_every_server_in_the_code_is_visited():
    """Four are served, and no block of code escapes its extraction."""
    assert 4 == sum(block.count("serve_forever()") for block in CODE)
    assert TEXT.count("```python") == len(CODE)


def test_what_it_sets_together_goes_together():
    """Under TLS no ``overload_reply`` is sent."""
    assert [] == [code for code in CODE if "ssl_context" in code and "overload_reply" in code]


def test_files_it_names_exist():
    named = re.findall(r"\b(?:examples|docs)/\w+\.\w+|\binterfaces/", TEXT)
    assert [] == [name for name in named if not (ROOT / name).exists()]


def test_numbers_are_the_real_ones():
    text = " ".join(TEXT.split())
    assert f"`max_children` ({greensock.ForkingMixIn.max_children})" in text
    drain_timeout = greensock.TCPServer.drain_timeout
    assert f"at most `server.drain_timeout` seconds ({drain_timeout:g})" in text
    compared = (DOCS / "moving.rst").read_text()
    assert f"  {greensock.UDPServer.max_packet_size}, which cuts none" in compared
    assert 128 <= greensock.TCPServer.request_queue_size


def test_line_that_tests_is_the_one_ci_runs():
    """.ci/run takes it from here, by this pattern."""
    line = r"^[ \t]*(python3 -m venv .* -m tests)[ \t]*$"
    assert 1 == len(re.findall(line, TEXT, re.MULTILINE))
