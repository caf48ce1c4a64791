"""The socket on which a status server listens, whoever serves there."""

import socket

from ..net import native
from ..net.addresses import parse_address
from ..net.listeners import BACKLOG, family_of, let_rebind


def open_site(text):
    """A socket that listens at the address which ``parse_address`` finds in ``text``.

    OSError if nobody can.
    """
    place = parse_address(text)
    site = native.Socket(family_of(place, socket.AF_INET), socket.SOCK_STREAM)
    try:
        let_rebind(site)
        site.bind(place)
        site.listen(BACKLOG)
    except BaseException:
        site.close()
        raise
    return site
