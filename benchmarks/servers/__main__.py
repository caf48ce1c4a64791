import ctypes
import signal
import sys

from ..peers import PEERS

PR_SET_PDEATHSIG = 1


def main(name, service):
    # Whoever started this may be killed, and then nobody ends it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    family, *rest = PEERS[name].server
    if family == "gevent":
        from . import of_gevent as module
    elif family == "asyncio":
        from . import of_asyncio as module
    else:
        if family == "patched":
            from gevent import monkey

            monkey.patch_all()
        from . import of_socketserver as module
    module.serve(service, *rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
