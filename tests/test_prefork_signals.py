"""What operators say to a supervisor: by signals, and by starting the program anew."""

import os
import signal

import pytest

from tests.supervised import running

every_share = pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_drain(tmp_path, number):
    with running(tmp_path) as program:
        with program.connect() as sock:
            program.ask(sock)
            program.signal(number)
            program.said("draining")
            program.ask(sock)
        program.said(f"over {program.pid}")
        assert 0 == program.process.wait(30)


def test_quit_cuts(tmp_path):
    with running(tmp_path) as program, program.connect() as sock:
        program.ask(sock)
        program.signal(signal.SIGQUIT)
        assert b"" == sock.recv(100)
        program.said(f"over {program.pid}")
        assert 0 == program.process.wait(30)


def test_hup_replaces_ttin_adds_ttou_removes_usr1_reopens(tmp_path):
    with running(tmp_path) as program:
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
    with running(tmp_path, share) as program:
        old = program.pid
        with program.connect() as sock:
            assert "one" == program.ask(sock)[1]
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
    with running(tmp_path, base="UnixStreamServer", address=path) as program:
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
    with running(tmp_path) as program:
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


def test_the_workers_of_a_supervisor_that_is_killed_drain(tmp_path):
    with running(tmp_path) as program, program.connect() as sock:
        pid, _ = program.ask(sock)
        program.signal(signal.SIGKILL)
        program.said("draining")
        assert (pid, "one") == program.ask(sock)
