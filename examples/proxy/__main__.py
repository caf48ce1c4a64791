"""``python -m examples.proxy``."""

import logging
import resource
import sys

if not __package__:
    raise SystemExit("run it from the root of the clone, as: python -m examples.proxy")

from .options import UsageError, parse


def main(argv=None):
    """Serve what a command line asks for; the exit status."""
    try:
        options = parse(argv)
        logging.basicConfig(
            level=options.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        # Not before: what it takes may be missing.
        from .serving import Service

        service = Service(options)
        _have_descriptors()
    except UsageError as error:
        print(f"proxy: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"proxy: {error}; pip install 'greensock[examples]'", file=sys.stderr)
        return 2
    return service.run()


def _have_descriptors():
    """Take as many as the system lets this process have: each connection needs two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
