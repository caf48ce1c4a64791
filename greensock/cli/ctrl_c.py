"""Ctrl-C is for the main program, as it is among threads."""

import os
import signal

from gevent._hub_local import get_hub_if_exists
from gevent.hub import getcurrent

from ..net.hubs import pass_ctrl_c_on


def keep_ctrl_c_to_this_greenlet() -> None:
    """Have Ctrl-C raise KeyboardInterrupt here, whichever greenlet it interrupts.

    Python raises it wherever the main thread is at that moment, which under gevent may be in a
    handler that some program meant to run in a thread. It stays as it is if SIGINT is ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    main, process = getcurrent(), os.getpid()

    def interrupt(number: int, frame: object) -> None:
        here, hub = getcurrent(), get_hub_if_exists()
        if here is hub:
            pass_ctrl_c_on(hub)
        # A forked child may have no use for this greenlet.
        if here in (main, hub) or os.getpid() != process:
            raise KeyboardInterrupt
        hub.loop.run_callback(here.switch)
        main.throw(KeyboardInterrupt)

    signal.signal(signal.SIGINT, interrupt)
