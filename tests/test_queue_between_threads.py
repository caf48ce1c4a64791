"""The queues of the toolbox for threads reach from one OS thread to another, in both worlds."""

import pytest

from greensock.net import native
from greensock.net.threads import start_thread
from greensock.toolbox import between_threads


@pytest.mark.parametrize("maxsize", [0, 1])
def test_item_reaches_a_thread_that_waits(maxsize):
    """Each side waits for the other in turn, in a thread with a hub of its own if patched."""
    tools = between_threads()
    there, back = tools.Queue(maxsize), tools.Queue(maxsize)
    thread = []

    def echo():
        thread.append(native.get_ident())
        for item in iter(lambda: there.get(timeout=10), None):
            back.put(item, timeout=10)

    start_thread(echo, shown_as=echo, daemon=True)
    for item in range(100):
        there.put(item, timeout=10)
        assert item == back.get(timeout=10)
    there.put(None)
    assert [native.get_ident()] != thread
