"""What OpenSSL says of one connection is not put down to another."""

import errno
import os
import ssl

import pytest

from greensock.net.blame import rightly

BROKEN = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
RESET = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def call_that(*outcomes):
    """A function that returns or raises these, one at a call."""
    left = list(outcomes)

    def call():
        outcome = left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return call


@pytest.mark.parametrize("another", [BROKEN, RESET])
def test_an_error_of_another_connection_is_nothing(another):
    assert b"read" == rightly(call_that(another, b"read"))
    with pytest.raises(ssl.SSLWantReadError):
        rightly(call_that(another, ssl.SSLWantReadError()))
    with pytest.raises(TimeoutError, match="timed out"):
        rightly(call_that(another, TimeoutError("timed out")))


def test_an_error_of_its_own_is_told_as_it_was_first():
    """What OpenSSL answers to a connection that was reset is not received, either."""
    with pytest.raises(ConnectionResetError) as caught:
        rightly(call_that(RESET, BROKEN))
    assert RESET is caught.value


def test_an_end_that_cannot_be_answered_is_an_end():
    with pytest.raises(ssl.SSLEOFError):
        rightly(call_that(BROKEN, ssl.SSLEOFError()))


@pytest.mark.parametrize(
    "error", [TimeoutError("timed out"), ssl.SSLWantWriteError(), OSError(errno.EBADF, "closed")]
)
def test_what_is_sure_is_not_asked_again(error):
    with pytest.raises(type(error)) as caught:
        rightly(call_that(error))
    assert error is caught.value
