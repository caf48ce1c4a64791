"""The channels of one hub that have something to read, and that nobody has looked at yet.

Theory of operation. Between one reader and the next, the hub would be switched to and would call a
function, which costs more than the read. So a watcher only adds its channel here, which takes no
line of Python. Once all that is ready is here, the hub lets the first reader go on; when that has
to wait again, it switches to the next one by itself, and only the last one to the hub.
"""

from collections import deque

from greenlet import greenlet  # type: ignore[import-untyped]

from .tenants import move_in

# Without gevent's wrapper, which looks for a method switch_out on every greenlet that waits, and
# makes its stack deeper: a waiting greenlet costs as much memory as its stack is deep.
_switch_to = greenlet.switch.__get__


class Ready(deque):
    """``note`` is what watchers call, with their channel. ``switch`` switches to the hub."""

    def __init__(self, hub):
        super().__init__()
        self.switch = _switch_to(hub)
        self.note = self.append  # one for all: it would be made anew for each
        # After all watchers were called, and before the hub looks what else there is.
        self._watcher = hub.loop.check(ref=False, priority=-1)
        self._watcher.start(self._begin)
        move_in(hub, self)

    def _begin(self):
        while self:
            self.popleft().open()

    def drop(self, channel):
        """Forget that ``channel`` has something to read."""
        while channel in self:
            self.remove(channel)

    def leave(self):
        """Leave the loop: the hub is about to be destroyed."""
        del self.note, self.switch
        self._watcher.stop()
        self._watcher.close()


def ready_on(hub):
    """The one there is of ``hub``, made when it is first asked for."""
    try:
        return hub._gs_ready
    except AttributeError:
        hub._gs_ready = ready = Ready(hub)
        return ready
