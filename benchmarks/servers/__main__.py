import sys

from ..lifetime import end_with_parent
from ..peers import PEERS


def main(name, service):
    end_with_parent()
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
