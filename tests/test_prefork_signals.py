"""What operators say to a supervisor: by signals, and by starting the program anew."""

import os
import signal
import socket
import time
from contextlib import ExitStack

import pytest

from greensock.net import native
from tests.helpers import wait_until
from tests.supervised import supervised

every_share = pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_drain(tmp_path, number):
    with supervised(tmp_path) as program:
        with program.connect() as sock:
            program.ask(sock)
            sock.sendall(b"half")  # it is at work until the rest has come
            program.signal(number)
            program.said("draining")
            program.ask(sock)
        program.said(f"over {program.pid}")
        assert 0 == program.process.wait(30)


def test_quit_cuts(tmp_path):
    with supervised(tmp_path) as program, program.connect() as sock:
        program.ask(sock)
        program.signal(signal.SIGQUIT)
        assert b"" == sock.recv(100)
        program.said(f"over {program.pid}")
        assert 0 == program.process.wait(30)


def test_quit_cuts_who_drain_already(tmp_path):
    with supervised(tmp_path) as program, program.half_asked(0) as sock:
        program.signal(signal.SIGTERM)
        program.said("has ended.* drained, exit status 0")  # the other worker
        program.signal(signal.SIGQUIT)
        assert b"" == sock.recv(100)
        program.said(f"over {program.pid}")
        program.said("has ended.* drained, exit status 0", 2)


@pytest.mark.parametrize("share", ["reuseport", "listener"])
def test_term_to_all_of_its_processes_loses_nobody(tmp_path, share):
    with supervised(tmp_path, share) as program, ExitStack() as stack:
        workers = program.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        socks = [stack.enter_context(program.connect()) for _ in range(10)]
        for sock in socks:
            sock.sendall(b"?")
        os.killpg(program.process.pid, signal.SIGTERM)
        program.said("draining")
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        assert {b"one"} == {sock.recv(100).split()[1] for sock in socks}


def test_hup_replaces_ttin_adds_ttou_removes_usr1_reopens(tmp_path):
    with supervised(tmp_path) as program:
        program.becomes("two")
        program.signal(signal.SIGHUP)
        program.said("replaced", 2)
        assert "two" == program.ask()[1]
        program.signal(signal.SIGTTIN)
        program.said("worker 2 is ready")
        program.signal(signal.SIGTTOU)
        program.said("worker 2 has ended.*removed")


@every_share
def test_a_new_version_takes_over(tmp_path, share):
    with supervised(tmp_path, share) as program:
        old = program.pid
        with program.connect() as sock:
            assert "one" == program.ask(sock)[1]
            sock.sendall(b"half")  # it is at work until the rest has come
            program.becomes("two")
            program.signal(signal.SIGUSR2)
            program.said("has taken over")
            program.listen(2)
            assert program.pid != old
            program.wait_for_version("two")
            assert "one" == program.ask(sock)[1]
        program.said(f"over {old}")
        assert 0 == program.process.wait(30)
        assert {"two"} == {program.ask()[1] for _ in range(10)}
        program.signal(signal.SIGTERM)
        program.said(f"over {program.pid}")


def test_a_new_version_takes_a_path_over(tmp_path):
    path = str(tmp_path / "path")
    with supervised(tmp_path, base="UnixStreamServer", address=path) as program:
        program.becomes("two")
        program.signal(signal.SIGUSR2)
        old = program.pid
        program.said("has taken over")
        program.listen(2)
        program.said(f"over {old}")
        assert "two" == program.ask()[1]
        program.signal(signal.SIGTERM)
        program.said(f"over {program.pid}")
        assert not os.path.exists(path)


def test_a_new_version_that_fails_leaves_the_old_one_serving(tmp_path):
    with supervised(tmp_path) as program:
        program.becomes("two", "sys.exit(7)")
        program.signal(signal.SIGUSR2)
        program.said("did not get ready: its exit status was 7")
        # Its workers are what they were; whoever replaces one is of the new version.
        assert "one" == program.ask()[1]
        program.becomes("three")
        program.signal(signal.SIGUSR2)
        program.said("has taken over")
        program.listen(2)
        program.wait_for_version("three")


def test_a_new_version_does_not_come_to_sockets_of_one_that_ends(tmp_path):
    with supervised(tmp_path) as program, program.half_asked(0) as sock:
        program.becomes("two", "open('begun', 'w').close(); import time; time.sleep(60)")
        program.signal(signal.SIGUSR2)
        wait_until((tmp_path / "begun").exists)
        program.signal(signal.SIGTERM)
        program.said("did not get ready: this one was told to end")
        sock.sendall(b"?")
        assert b" one\n" in sock.recv(100)
        program.said(f"over {program.pid}")


def test_a_new_version_does_not_get_the_listener_of_one_that_was_removed(tmp_path):
    with supervised(tmp_path) as program, program.half_asked(1):
        descriptors = f"/proc/{program.pid}/fd"
        before = len(os.listdir(descriptors))
        program.signal(signal.SIGTTOU)
        wait_until(lambda: len(os.listdir(descriptors)) < before)
        program.becomes("two")
        program.signal(signal.SIGUSR2)
        program.said("has taken over")
        program.listen(2)
        program.wait_for_version("two")


def test_a_new_version_serves_the_status_where_it_wants_to(tmp_path):
    with ExitStack() as stack:
        socks = [stack.enter_context(native.Socket()) for _ in range(2)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        old, new = (sock.getsockname() for sock in socks)
    code = "Server.status_address = '{}:{}'"
    with supervised(tmp_path, code=code.format(*old)) as program:
        before = program.pid
        program.becomes("two", code.format(*new))
        program.signal(signal.SIGUSR2)
        program.listen(2)
        program.said(f"over {before}")
        socket.create_connection(new, timeout=30).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(old, timeout=30).close()


def test_who_was_stopped_with_all_the_others_is_not_taken_for_one_that_hangs(tmp_path):
    with supervised(tmp_path, code="Server.worker_timeout = 2.0") as program:
        os.killpg(program.process.pid, signal.SIGSTOP)
        ends = time.monotonic() + 2.5
        wait_until(lambda: time.monotonic() > ends)
        # It looks at the others before they can say that they live.
        program.signal(signal.SIGCONT)
        program.signal(signal.SIGHUP)
        program.said("is ready", 3)
        os.killpg(program.process.pid, signal.SIGCONT)
        program.said("replaced", 2)
        assert "hung" not in program.errors


def test_the_workers_of_a_supervisor_that_is_killed_drain(tmp_path):
    with supervised(tmp_path) as program, program.connect() as sock:
        pid, _ = program.ask(sock)
        sock.sendall(b"half")  # it is at work until the rest has come
        program.signal(signal.SIGKILL)
        program.said("draining")
        assert (pid, "one") == program.ask(sock)
