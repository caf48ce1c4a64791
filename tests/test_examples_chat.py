"""The chat example: everybody hears everybody else, and nobody waits for anybody."""

import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest

from examples import chat
from greensock import Room, server_class
from tests.commands import ROOT, python
from tests.programs import EXAMPLES, Client, environment, example, served
from tests.tools import wait_until

# How many are in the room at once in the test of a full one.
CROWD = {"greenlet": 200, "thread": 50}


class Person(Client):
    """A member of the room, once ``enter`` has returned."""

    @classmethod
    def who_will_not_read(cls, address):
        """One for whom the system buffers little."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(address)
        return cls(sock)

    def enter(self, name):
        assert b"What is your name?\n" == self.line()
        self.say(name)
        while (line := self.line().decode()) != f"* {name} is here\n":
            if line == "Please choose another name.\n":
                self.say(name)  # who had it before is about to leave
            else:
                assert line.endswith(" has left\n")  # and so may others be
        return self

    def say(self, text):
        self.send(f"{text}\n".encode())

    def hear(self, text):
        """Read up to the line ``text``; return the lines before it."""
        missed = []
        while (line := self.line().decode()) != f"{text}\n":
            assert line, f"{text!r} was not said, but {missed}"
            missed.append(line.rstrip("\n"))
        return missed


@pytest.fixture(scope="module", params=CROWD)
def model(request):
    return request.param


@pytest.fixture(scope="module")
def room(model):
    with example("chat", model) as address:
        yield address


def test_others_hear_what_a_member_says(room):
    """The speaker does not: it is on their screen already."""
    with Person.connect(room) as ann, Person.connect(room) as bob:
        ann.enter("Ann")
        bob.enter("Bob")
        ann.hear("* Bob is here")
        ann.say("hello")
        bob.hear("Ann: hello")
        bob.say("hi")
        assert "Ann: hello" not in ann.hear("Bob: hi")
        bob.end()
        ann.hear("* Bob has left")
        assert b"" == bob.rest()


def test_name_belongs_to_one(room):
    """Neither a taken name nor none lets anybody in."""
    with Person.connect(room) as ann, Person.connect(room) as other:
        ann.enter("Ann")
        other.line()
        for name in "Ann", "":
            other.say(name)
            assert b"Please choose another name.\n" == other.line()
        other.say("Anna")
        assert b"* Anna is here\n" == other.line()


def test_name_is_free_again_when_its_member_has_vanished(room):
    with Person.connect(room) as bob:
        bob.enter("Bob")
        ann = Person.connect(room)
        ann.enter("Ann")
        ann.reset()
        bob.hear("* Ann has left")
        with Person.connect(room) as other:
            other.enter("Ann")


def test_terminals_are_not_commanded(room):
    """Control characters are taken out of what is said, and bytes that are no text replaced."""
    with Person.connect(room) as ann, Person.connect(room) as bob:
        ann.enter("Ann")
        bob.enter("Bob")
        ann.send(b"\x1b[2J\x07red\r\n")
        bob.hear("Ann: [2Jred")
        ann.send(b"\xffoops\n")
        bob.hear("Ann: \N{REPLACEMENT CHARACTER}oops")


def test_line_without_end_becomes_many(room):
    """It does not fill the memory."""
    with Person.connect(room) as ann, Person.connect(room) as bob:
        ann.enter("Ann")
        bob.enter("Bob")
        ann.say("x" * 2500)
        for length in 1000, 1000, 500:
            bob.hear("Ann: " + "x" * length)


def test_full_room_hears_every_word(room, model):
    """All come at once, and each hears all the others."""
    names = [f"m{number}" for number in range(CROWD[model])]
    with ExitStack() as stack:
        crowd = [stack.enter_context(Person.connect(room)) for _ in names]
        for name, person in zip(names, crowd):
            person.say(name)
        for name, person in zip(names, crowd):
            person.hear(f"* {name} is here")
        words = {f"{name}: I am {name}" for name in names}
        for name, person in zip(names, crowd):
            person.say(f"I am {name}")
        for name, person in zip(names, crowd):
            others = words - {f"{name}: I am {name}"}
            while others:
                others.discard(person.line().decode().rstrip("\n"))


def flood(speaker, listener, *, batches):
    """Have much said, as fast as the listener hears it all; yield what others said meanwhile."""
    for batch in range(batches):
        for _ in range(100):
            speaker.say("x" * 900)
        speaker.say(f"that was {batch}")
        heard = listener.hear(f"Ann: that was {batch}")
        others = [line for line in heard if not line.startswith("Ann: xxx")]
        assert 100 == len(heard) - len(others)
        yield others


class Narrow(chat.Member):
    """For the silent member the system buffers little on this side, too."""

    def chat(self, name, lines):
        if name == "Silent":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().chat(name, lines)


@contextmanager
def serving(handler, model, **settings):
    """A server in this process, so that other settings can be tried."""
    kind = type("Server", (server_class(model),), settings)
    with kind(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address
        finally:
            server.shutdown()
            thread.join()


def test_member_who_never_reads_keeps_nobody_waiting(model):
    """Much more is said than the system buffers, and than the server keeps for the silent one."""

    class Patient(Narrow):
        room, names = Room(), {}

    with serving(Patient, model, slow_consumer="drop", send_buffer=100_000) as room:
        silent = Person.who_will_not_read(room)
        with silent, Person.connect(room) as ann, Person.connect(room) as bob:
            silent.enter("Silent")
            ann.enter("Ann")
            bob.enter("Bob")
            assert 15 == len(list(flood(ann, bob, batches=15)))


def test_member_who_never_reads_is_shown_out(model):
    """And the others are told."""

    class Hasty(Narrow):
        room, names = Room(), {}

    with serving(Hasty, model, send_buffer=100_000) as room:
        silent = Person.who_will_not_read(room)
        with silent, Person.connect(room) as ann, Person.connect(room) as bob:
            silent.enter("Silent")
            ann.enter("Ann")
            bob.enter("Bob")
            assert any("* Silent has left" in heard for heard in flood(ann, bob, batches=1000))


def test_members_are_told_that_the_room_closes_and_leave(model):
    """Even one who is alone and has spoken last, whom nobody will answer."""

    class Closing(chat.Member):
        room, names = Room(), {}

    with server_class(model)(("127.0.0.1", 0), Closing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Person.connect(server.server_address) as ann:
            ann.enter("Ann")
            ann.say("is anybody there?")
            everything = len("Ann\nis anybody there?\n")
            wait_until(lambda: everything == server.connections[0].received)
            assert [] == server.drain(20)
            ann.hear("* the room is about to close")
            assert b"" == ann.rest()
        thread.join()


@contextmanager
def talking(*command):
    """A person at a terminal with that command: yield (type a text, see a line)."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    )

    def type_in(text):
        process.stdin.write(text)
        process.stdin.flush()

    try:
        yield type_in, process.stdout.readline
        process.stdin.close()  # Ctrl-D
        assert 0 == process.wait(30)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


CLIENTS = {
    "bundled": [sys.executable, str(EXAMPLES / "chat_client.py")],
    "nc": ["nc", "-N"],
}


# One of Python's is the same in both worlds.
@pytest.mark.parametrize("client", ["nc", pytest.param("bundled", marks=pytest.mark.worldless)])
def test_room_is_entered_from_a_terminal(room, client):
    """Typed lines are said, heard ones shown, and the end of input is the way out."""
    command = CLIENTS[client]
    if not shutil.which(command[0]):
        pytest.skip(f"there is no {client}")
    with Person.connect(room) as ann:
        ann.enter("Ann")
        with talking(*command, *map(str, room)) as (type_in, see):
            assert b"What is your name?\n" == see()
            type_in(b"Bob\n")
            assert b"* Bob is here\n" == see()
            ann.hear("* Bob is here")
            ann.say("hello")
            assert b"Ann: hello\n" == see()
            type_in(b"hi\n")
            ann.hear("Bob: hi")
        ann.hear("* Bob has left")


@pytest.mark.worldless
def test_bundled_client_says_where_nobody_answers():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # without listening
        place = "{}:{}".format(*nobody.getsockname())
        client = EXAMPLES / "chat_client.py"
        status, out, errors = python(client, *place.split(":"), cwd=ROOT)
    assert (1, "") == (status, out)
    assert errors.startswith(f"{place}: ") and 1 == len(errors.splitlines())


@pytest.mark.worldless
@pytest.mark.parametrize("args", [["--help"], ["a", "b", "c"]])
def test_bundled_client_says_how_it_is_called(args):
    status, out, errors = python(EXAMPLES / "chat_client.py", *args, cwd=ROOT)
    assert (1, "") == (status, out)
    assert "python examples/chat_client.py [HOST [PORT]]" in errors


@pytest.mark.worldless
def test_member_is_served_by_the_command():
    with served("examples.chat:Member") as address, Person.connect(address) as ann:
        ann.enter("Ann")
