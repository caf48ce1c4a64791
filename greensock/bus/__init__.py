"""The bus: messages between greenlets, threads, processes and machines.

::

    bus = open_bus("redis://127.0.0.1:6379/0")  # or "local", within this process
    with bus.subscribe("news") as subscription:
        bus.publish("news", b"hello")
        print(subscription.get().data)

See ``greensock.interfaces.IBus`` for what a bus promises.
"""

from typing import Any

from .base import BaseBus
from .local import LocalBus
from .subscriptions import Message, Subscription

__all__ = ["LocalBus", "Message", "Subscription", "new_bus", "open_bus"]


def open_bus(url: "str | None" = None) -> Any:
    """The IBus at ``url``, which was reached: BusError if it cannot be.

    None or 'local': a LocalBus. 'redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]', 'rediss://...' for
    TLS, 'unix:///PATH[?db=DB]': a RedisBus. ValueError for any other; ImportError if it takes
    redis-py and that is not installed.
    """
    bus = new_bus(url)
    try:
        bus.open()
    except BaseException:
        bus.close()
        raise
    return bus


def new_bus(url: "str | None" = None) -> BaseBus:
    """The bus at ``url``, which is opened by its first use; the errors of ``open_bus``."""
    if url is None or url == "local":
        return LocalBus()
    check_url(url)
    from .redis import RedisBus

    return RedisBus(url)


def check_url(url: "str | None") -> None:
    """ValueError if there can be no such bus, as far as that is seen without redis-py."""
    if url is None or url == "local":
        return
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(
            f"{url!r} is no bus; give 'local', 'redis://HOST:PORT/DB', 'rediss://HOST:PORT/DB' for "
            "TLS, or 'unix:///PATH'"
        )
