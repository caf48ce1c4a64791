"""Asking a worker, who may be late, or answer somebody who is dead by then."""

import json

import gevent
import gevent.socket
import pytest

from greensock.supervision.desk import Known


class Worker:
    """The other end: it hears questions, and the test has it answer."""

    def __init__(self):
        ours, self.sock = gevent.socket.socketpair()
        self.known = Known(3, 77, None, ours.detach())
        self.questions = self.sock.makefile("rb")

    def hear(self):
        number, *question = json.loads(self.questions.readline())
        return number, question

    def say(self, *answer):
        self.sock.sendall(json.dumps(answer).encode() + b"\n")

    def close(self):
        self.questions.close()
        self.sock.close()


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()
    worker.known.close()


def test_a_question_is_answered(worker):
    for answer in {"any": ["thing"]}, None, 5, "x" * 1_000_000:
        asked = gevent.spawn(worker.known.ask, "how", 1, "and")
        number, question = worker.hear()
        assert ["how", 1, "and"] == question
        worker.say(number, answer)
        assert answer == asked.get()


def test_one_that_does_not_answer_is_asked_once(worker):
    """And when it does so late, it is not taken for the answer to another question."""
    for _ in range(3):
        with pytest.raises(TimeoutError, match="worker 3, process 77, does not answer"):
            worker.known.ask("first", patience=0.01)
    number, question = worker.hear()
    assert ["first"] == question
    worker.say(number, "late")
    asked = gevent.spawn(worker.known.ask, "second")
    number, question = worker.hear()
    assert ["second"] == question
    worker.say(number, "in time")
    assert "in time" == asked.get()


def test_what_was_answered_to_a_desk_that_has_died_is_passed_over(worker):
    """However much of it that has read."""
    worker.sock.sendall(b'f an answer"]\n')
    worker.say("1:0", "another one")
    worker.say("1:1", "of a whole")
    asked = gevent.spawn(worker.known.ask, "mine")
    number, _ = worker.hear()
    worker.say(number, "yours")
    assert "yours" == asked.get()


def test_many_may_ask_at_once(worker):
    asked = [gevent.spawn(worker.known.ask, number) for number in range(3)]
    for _ in asked:
        number, question = worker.hear()
        worker.say(number, question)
    assert [[0], [1], [2]] == [each.get() for each in asked]


def test_one_that_has_ended_is_an_error(worker):
    worker.close()
    with pytest.raises(OSError):
        worker.known.ask("anybody")


def test_whoever_waits_is_let_go_when_it_is_forgotten(worker):
    def ask():
        with pytest.raises(OSError):
            worker.known.ask("anybody")

    asked = gevent.spawn(ask)
    worker.hear()
    worker.known.close()
    asked.get(timeout=30)
