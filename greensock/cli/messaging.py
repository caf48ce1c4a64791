"""``--bus``: over what handlers talk to each other, and that it is there."""

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError

from ..bus import new_bus, open_bus
from ..errors import BusError, CommandError
from .trying import try_out


def add_bus(parser: ArgumentParser) -> None:
    """Have ``parser`` take the option."""
    group = parser.add_argument_group("bus", "For handlers that use self.server.bus.")
    group.add_argument(
        "--bus",
        metavar="URL",
        default=SUPPRESS,
        type=_url,
        help="where it is, for all workers and machines that have the same one: "
        "redis://HOST:PORT/DB, rediss:// for TLS, or unix:///PATH (default: within each process)",
    )


def _url(text: str) -> str:
    """That of a bus there can be."""
    try:
        new_bus(text)
    except (ValueError, ImportError) as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def check_bus(url: str) -> None:
    """CommandError if the bus cannot be reached."""

    def reach() -> None:
        try:
            open_bus(url).close()
        except BusError as error:
            raise CommandError(f"--bus: {error}") from None

    try_out(reach, "reaching the bus")
