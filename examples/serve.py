"""What the examples share: their options, and serving one handler until Ctrl-C."""

import argparse
import logging
from contextlib import suppress

from greensock import MODELS, server_class


def options(description, *, models=MODELS, port=9000, **others):
    """What the command line says; ``others`` are further options and their defaults."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=models, default=models[0])
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=port, help="0 takes any that is free")
    for name, default in others.items():
        parser.add_argument(f"--{name}", default=default, help=f"{default} if not given")
    return parser.parse_args()


def serve(handler, options, *, transport="tcp", hint):
    """Serve until Ctrl-C. ``hint`` says how to talk to ``{host}`` and ``{port}``."""
    logging.getLogger("greensock").setLevel(logging.ERROR)  # to hang up is no news here

    class Server(server_class(options.model, transport)):
        allow_reuse_address = transport == "tcp"  # so that it can be started again at once
        drain_timeout = 0  # so that Ctrl-C hangs up on whoever is connected

    try:
        server = Server((options.host, options.port), handler)
    except (OSError, OverflowError) as error:
        raise SystemExit(f"cannot listen: {error}") from None
    with suppress(KeyboardInterrupt), server:
        host, port = server.server_address[:2]
        hint = hint.format(host=host, port=port)
        print(f"Listening on {host}:{port}, model {options.model}. Try: {hint}", flush=True)
        server.serve_forever()
