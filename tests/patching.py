"""``python -m tests.patching`` runs a program monkey-patched, as ``python -m gevent.monkey`` does.

Whoever imports it first is patched as fast. gevent looks for plugins at each of two dozen steps,
in all packages that are installed, and with those of the tests that takes longer than to patch.
"""

from gevent import events

events.notify_and_call_entry_points = events.notify

if __name__ == "__main__":
    from gevent.monkey import main

    main()
