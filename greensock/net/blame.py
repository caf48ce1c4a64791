"""What OpenSSL says of a call is put down to the connection it is about, and to no other one.

OpenSSL notes errors in a queue, one for each thread, and Python looks there for what became of a
call. Since OpenSSL 3.4 the queue also has what the system said when a connection broke, and Python
leaves that in it. So from then on any other connection of the thread which merely has to wait for
its peer would be told that it is broken: all those of a server of greenlets.

So whatever the system is said to have refused is asked again with an empty queue. To be imported
by what imports ``ssl`` anyway.
"""

import errno
import ssl
from functools import cache


def rightly(call, *args, **kwargs):
    """What a call on a TLS connection returns or raises, if it is about that connection.

    It is made once more after an error that may be another one's. If that shows that the connection
    has ended, this is what is raised: ``ssl.SSLEOFError``, and not that OpenSSL could not send what
    it answers to such an end.
    """
    try:
        return call(*args, **kwargs)
    except OSError as error:
        if not _is_systems(error):
            raise
        first = error
    try:
        forget_errors()
        return call(*args, **kwargs)
    except OSError as error:
        if not _is_systems(error):
            raise
        forget_errors()
        raise first from None
    finally:
        del first  # which refers to this frame


def forget_errors() -> None:
    """Empty the queue of this thread."""
    try:
        _context().set_ciphers("")  # of all errors Python empties it only after some, as this one
    except ssl.SSLError:
        pass


@cache
def _context():
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _is_systems(error):
    # Deadlines have no number, and a socket that was closed while somebody waited has this one.
    return not isinstance(error, ssl.SSLError) and error.errno not in (None, errno.EBADF)
