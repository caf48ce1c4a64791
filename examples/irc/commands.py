"""All commands: to import it is to have them."""

from . import about, capabilities, joining, moding, registering, seeing, talking

__all__ = ["about", "capabilities", "joining", "moding", "registering", "seeing", "talking"]
