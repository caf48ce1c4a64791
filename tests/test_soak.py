"""``python -m benchmarks soak`` sees that servers endure, and notices when they do not."""

import pytest

from benchmarks.soak import cli, verdict
from benchmarks.soak.dealings import pieces_of_answer, question
from benchmarks.soak.kinds import KINDS
from tests.prepared import start
from tests.programs import ROOT, environment

HOST = "127.2.0.1"

pytestmark = pytest.mark.worldless


def state(**changes):
    return {
        "memory": 40_000_000,
        "objects": 30_000,
        "descriptors": 13,
        "connections": 0,
        "errors": 0,
        "first_errors": [],
        "refused": {"max_connections": 1, "max_connections_per_peer": 1},
        "cut": {name: 1 for name in verdict.LIMITS if name.endswith("timeout")},
        "by_host": {HOST: 3},
        "handshakes": 1,
        **changes,
    }


def party(**changes):
    return {
        "kind": "good",
        "server": "plain",
        "hosts": [HOST],
        "means_well": True,
        "visits": 10,
        "answers": 8,
        "turned_away": 2,
        "wrong": 0,
        "first_wrong": [],
        **changes,
    }


def judged(after=None, parties=None, late=0, said=(), before=None):
    before = before or state(by_host={})
    return verdict.rows(before, after or state(), parties or [party()], late, said, 2.0)


def missed(rows):
    return [what for what, _, _, met in rows if not met]


def test_server_that_is_as_it_was_has_endured():
    rows = judged()
    assert ([], True) == (missed(rows), verdict.is_met(rows))


@pytest.mark.parametrize(
    "found, what",
    [
        ({"after": state(memory=40_900_000)}, "memory, MB"),
        ({"after": state(objects=30_700)}, "objects"),
        ({"after": state(descriptors=14)}, "descriptors"),
        ({"after": state(connections=1)}, "connections left"),
        ({"after": state(errors=1)}, "errors logged"),
        ({"said": ["Traceback"]}, "lines on standard error"),
        ({"parties": [party(), party(answers=0)]}, "right answers"),
        ({"parties": [party(wrong=1)]}, "wrong answers, and visits without end"),
        ({"late": 1}, "wrong answers, and visits without end"),
        ({"after": state(cut={})}, "limits that nobody met"),
        ({"parties": [party(turned_away=4)]}, "turned away without a word of it"),
    ],
)
def test_whatever_is_left_or_wrong_is_a_miss(found, what):
    rows = judged(**found)
    assert ([what], False) == (missed(rows), verdict.is_met(rows))


def test_memory_may_grow_a_little_and_shrink_as_it_likes():
    assert [] == missed(judged(state(memory=40_700_000)))
    assert [] == missed(judged(state(memory=20_000_000)))


def test_miss_is_shown_with_what_was_logged():
    rows = judged(state(errors=1))
    text = verdict.render(rows, state(first_errors=["it failed"]), [party()], ["it said"])
    assert "| errors logged | 1 | 0 | **no** |" in text
    assert text.endswith("it failed\nit said")


def test_answer_is_as_long_as_asked_for():
    for size in 1, 1000, 400_000:
        asked = question(size)
        answer = b"".join(pieces_of_answer(asked))
        assert size == len(answer)
        assert (asked.split()[1] * 2)[:size].startswith(answer[:20])


def test_every_kind_of_client_has_its_part():
    """Good ones and bad ones, at either server."""
    assert {True, False} == {kind.means_well for kind in KINDS}
    assert all(kind.is_for_tls or kind.is_for_plain for kind in KINDS)


@pytest.mark.parametrize(
    "args, said",
    [(["--seconds", "0"], "'0' is no positive number"), (["echo"], "unrecognized arguments: echo")],
)
def test_wrong_argument_costs_one_line(args, said, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.parse(args)
    (line,) = capsys.readouterr().err.splitlines()
    assert 2 == caught.value.code
    assert said in line


def test_short_soak_is_endured():
    """Too short for its memory to be settled, but for everything else."""
    args = "-m", "benchmarks", "soak", "--seconds", "0.3", "--growth", "50"
    process = start(*args, cwd=ROOT, env=environment())
    out, errors = process.communicate(timeout=100)
    assert (0, "") == (process.returncode, errors), out
    assert "| connections left | 0 | 0 | yes |" in out
    assert "| good | TLS |" in out
