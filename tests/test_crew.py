"""Jobs: what closing a server cuts."""

import socket

from greensock.net.crew import Job


def test_a_cut_in_the_middle_of_a_hand_over_is_made_up_for():
    """It meets a socket whose descriptor has gone to the next one already."""
    ours, theirs = socket.socketpair()
    with theirs:
        job = Job(ours, None)
        with socket.socket(ours.family, ours.type, ours.proto, fileno=ours.detach()) as rebuilt:
            job.was_cut = True
            job.shut()
            job.hold(rebuilt)
            theirs.settimeout(10)
            assert b"" == theirs.recv(1)
