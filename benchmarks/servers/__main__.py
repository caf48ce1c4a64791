import sys

from ..lifetime import end_with_parent
from ..peers import PEERS
from . import LOCAL


def main(name, service, *port):
    end_with_parent()
    family, *rest = PEERS[name].server
    given = {"upstream": (LOCAL[0], int(*port))} if port else {}
    if family == "gevent":
        from . import of_gevent as module
    elif family == "asyncio":
        from . import of_asyncio as module
    elif family == "program":
        from . import of_programs as module
    else:
        if family == "patched":
            from gevent import monkey

            monkey.patch_all()
        from . import of_socketserver as module
    module.serve(service, *rest, **given)


if __name__ == "__main__":
    main(*sys.argv[1:])
