"""Concurrency tools for handlers, the same under every model.

A handler that needs concurrency of its own, such as a proxy with two directions or a chat
member with an outgoing queue, takes it from ``self.toolbox`` and runs under any model unchanged.

=============  ====================  =====================================  ====================
model          ``spawn``             Lock, Event, Queue work between        blocking blocks
=============  ====================  =====================================  ====================
inline         a greenlet            greenlets of the serving thread        the greenlet
greenlet       a greenlet            greenlets of the serving thread        the greenlet
thread         an OS thread;         all threads and greenlets of the       the thread; patched,
               patched: a greenlet   process                                the greenlet
               of the same thread
fork           as thread             the same, within one child: another    as thread
                                     child has copies of its own
=============  ====================  =====================================  ====================
"""

from zope.interface import Attribute, Interface


class IToolbox(Interface):
    """Spawning, sleeping, waiting, deadlines and connecting under one model."""

    name = Attribute("Its short name, for messages.")

    def spawn(function, *args, **kwargs):
        """Run ``function(*args, **kwargs)`` beside the caller; return an ITask at once.

        What it raises is reported and ends the task alone; Ctrl-C in the main thread is passed on.
        """

    def sleep(seconds):
        """Block the caller for ``seconds``, letting others run. 0 lets others run once.

        ValueError if negative.
        """

    def Lock():
        """A new ILock."""

    def Event():
        """A new IEvent, not set."""

    def Queue(maxsize=0):
        """A new IQueue of at most ``maxsize`` items; 0 for no limit."""

    def deadline(seconds):
        """A context manager: the block's waits may take ``seconds`` together; None for no limit.

        The wait that would go past it raises TimeoutError, which leaves the block like any
        exception; if it is caught inside, every further wait raises it again. It counts for the
        waits of this toolbox (``sleep``, locks, events, queues, ``ITask.join``) and for reading
        and writing ``self.request``; under greenlets for every other cooperative wait, too. It
        is the caller's alone, and no other task's that it shares a socket with. Deadlines nest:
        the nearest one counts.

        The socket stays open. Reading goes on where it was interrupted; part of the data of
        an interrupted write may have been sent, so that over TLS no other can follow it. A
        file made of the socket, such as ``rfile``, reads no more, as after ``settimeout``.
        """

    def connect(address, timeout=None, allow=None):
        """A stream socket connected to ``address``, ``(host, port)``, over IPv4 or IPv6.

        It is of the kind that handlers have as ``self.request``: reading and writing blocks as
        the toolbox does and keeps deadlines. It has no timeout of its own and is the caller's
        to close.

        If the host has several addresses they are tried as RFC 8305 says: families in turn, the
        next one when the last has failed or has not answered for a quarter of a second, and the
        first that answers is taken. If none does, the first one's error is raised.

        ``timeout``: seconds that all of it may take, every address of the host included; None
        for no limit. TimeoutError if they pass, another OSError if nobody answers.

        ``allow``: a function that is called with each address of the host, as a socket's
        ``connect`` takes it, in the moment before it is tried, and tells whether it may be; None
        if all may. PermissionError if there is none that may. So whoever judges addresses judges
        those that are dialled, and a name cannot lead elsewhere meanwhile (DNS rebinding).
        """


class ITask(Interface):
    """Something spawned."""

    def join(timeout=None):
        """Wait until it has ended, at most ``timeout`` seconds (None for no limit).

        Return whether it has ended. What it raised is reported, not raised here.
        """


class ILock(Interface):
    """A lock for one holder, not re-entrant, usable in ``with``."""

    def acquire(blocking=True, timeout=-1):
        """Take the lock; wait at most ``timeout`` seconds (-1 for no limit). True if taken.

        ValueError for any other negative timeout, and for one without ``blocking``.
        """

    def release():
        """Give it back. RuntimeError if nobody holds it."""

    def locked():
        """Whether somebody holds it."""

    def __enter__():
        """Take the lock."""

    def __exit__(exc_type, exc_value, traceback):
        """Give it back."""


class IEvent(Interface):
    """A flag to wait for."""

    def is_set():
        """Whether it is set."""

    def set():
        """Set it and wake everyone who waits."""

    def clear():
        """Unset it."""

    def wait(timeout=None):
        """Wait until it is set, at most ``timeout`` seconds (None for no limit).

        Return whether it is set, or was for a moment while the caller waited.
        """


class IQueue(Interface):
    """First in, first out. Its exceptions are ``queue.Empty`` and ``queue.Full``.

    Timeouts are seconds, None for no limit. ValueError for a negative one.
    """

    def put(item, block=True, timeout=None):
        """Add an item; wait for room if asked, else or after ``timeout`` raise ``queue.Full``."""

    def get(block=True, timeout=None):
        """Take an item; wait for one if asked, else or after ``timeout`` raise ``queue.Empty``."""

    def put_nowait(item):
        """``put(item, block=False)``."""

    def get_nowait():
        """``get(block=False)``."""

    def qsize():
        """The number of items at this moment."""

    def empty():
        """Whether there is no item at this moment."""

    def full():
        """Whether there is no room at this moment."""
