"""The PROXY protocol: behind a proxy or balancer, who the client really is.

A proxy that connects to a server for a client puts a header before the client's bytes, of version 1
or 2 of the protocol as HAProxy defines it. The server takes it off and goes on as if the client had
come itself. To read headers takes the package proxy-protocol: ``pip install greensock[proxy]``.
"""

from zope.interface import Attribute, Interface


class IProxyTLS(Interface):
    """What a proxy tells of the TLS that a client spoke to it. It does not change."""

    version = Attribute("Such as 'TLSv1.3' (str), None if that was not told.")
    cipher = Attribute("The cipher's name (str), None if that was not told.")
    common_name = Attribute("That of the client's certificate (str), None if that was not told.")
    has_certificate = Attribute("Whether the client showed one, in this session or before (bool).")
    is_verified = Attribute("Whether it showed one, and the proxy found it to be good (bool).")


class IProxyHeader(Interface):
    """What a proxy tells of a connection. It does not change; ``bytes(header)`` is to be sent.

    Addresses have the form of their family: ``(host, port)``, ``(host, port, 0, 0)`` for IPv6, and
    for Unix sockets the path (str), or bytes that begin with NUL.
    """

    source = Attribute("The client; None if that was not told, or if there is none.")
    destination = Attribute("Where the client has connected to; None as for ``source``.")
    version = Attribute("1 or 2.")
    is_local = Attribute(
        "Whether the proxy has connected for itself, as for a health check (bool). Then there are "
        "neither addresses nor TLVs."
    )
    tlvs = Attribute(
        "What else was told: a read-only mapping of types (int, 0 to 255) to values (bytes); of "
        "several of one type the last. Empty in version 1, which has none."
    )
    alpn = Attribute("The application's protocol, such as b'h2' (bytes); None if not told.")
    authority = Attribute("The host name that the client has asked for (str); None if not told.")
    unique_id = Attribute("What the proxy calls the connection (bytes); None if not told.")
    tls = Attribute("An IProxyTLS; None if nothing of TLS was told.")

    def __bytes__():
        """The header as it goes over the wire.

        IPv4 and IPv6 addresses beside each other are both written as IPv6. In version 1 what
        is neither is written as UNKNOWN, and there are no TLVs. A checksum among the TLVs (type 3)
        is made anew. ValueError for what cannot be written: an address that is none, a path of
        more than 108 bytes, TLVs of more than 64 KiB.
        """


class IProxied(Interface):
    """A server of connections that proxies pass on.

    The header is read in the worker, before TLS, and exactly its bytes. Then the ``client_address``
    of the connection, of the handler and of what the server tells is ``source``, unless that
    is None, and the header is there as ``IConnection.proxy``. Before, in ``verify_request`` and
    IConnectionOpened, it is the proxy's own.

    ``max_connections_per_peer`` counts by the address that the handler gets: those who are one too
    many behind a proxy are turned away when their header was read. Under the fork model, where a
    child reads it, those who come from trusted proxies are not counted.

    Who cannot be served is closed, which an IProxyHeaderRefused tells of.
    """

    proxy_protocol = Attribute(
        """None, 'optional' or 'required': whether a header comes before everything else.

        With 'required', every peer must be a trusted one, and begin with a header. With 'optional',
        who is not trusted is served as itself, and what it sends goes to the handler as it is, be
        it a header or not. So is a trusted peer whose first bytes cannot be a header. One that says
        nothing, because it waits to be greeted, is served as itself after ``handshake_timeout``:
        where clients of such a protocol come directly, do not trust them, or lower that. The
        default is None: there is no header.
        """
    )
    trusted_proxies = Attribute(
        """Who may tell of clients: networks and addresses, in a list, tuple or set of str.

        Such as '10.0.0.0/8', '::1' or 'unix:', which stands for all peers on Unix sockets. Without
        any, ``proxy_protocol`` is an error, because whoever sends a header could claim to
        be anybody. A list that is changed in place changes nothing: set another. The default is
        none.
        """
    )
