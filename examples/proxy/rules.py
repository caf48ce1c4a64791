"""Where clients may go: rules about networks and ports, applied to the addresses that are dialled.

Theory of operation. A name is nothing to go by: whoever owns it has it lead anywhere. So rules are
asked of each address in the moment before it is connected to, as the system has understood whatever
the client had written. An IPv6 address that stands for an IPv4 one must be allowed as both.

What is not for others, such as the machine itself, is reached only by a rule that is about nothing
else: 127.0.0.0/8 lets them there, and 0.0.0.0/0 does not.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

ANY = "any"

PROTECTED = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # 0.0.0.0 is the machine itself
            "127.0.0.0/8",
            "100.100.100.200/32",  # metadata of a cloud, as are all the single ones
            "168.63.129.16/32",
            "169.254.0.0/16",  # link-local, and the metadata of most clouds
            "192.0.0.192/32",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/128",
            "::1/128",
            "fd00:42::42/128",
            "fd00:ec2::254/128",
            "fd20:ce::254/128",
            "fe80::/10",
            "fec0::/10",
            "64:ff9b:1::/48",  # what a translator of this network makes of it, it alone knows
            "ff00::/8",
        ),
    )
)

# IPv6 networks with an IPv4 address in theirs, and the first of the 4 bytes that are it.
_BEARING = tuple(
    (ip_network(network), place)
    for network, place in (
        ("::/96", 12),
        ("::ffff:0:0:0/96", 12),
        ("64:ff9b::/96", 12),
        ("2002::/16", 2),
    )
)
_TEREDO = ip_network("2001::/32")
_ISATAP = b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"


@dataclass(frozen=True)
class Rule:
    """Whether ``network``, None for all, is allowed at ``ports``."""

    allows: bool
    network: object
    ports: range = range(0x10000)

    def is_about(self, ip, port):
        if port not in self.ports:
            return False
        return self.network is None or self.network.version == ip.version and ip in self.network

    def is_only_about(self, protected):
        return (
            self.network is not None
            and self.network.version == protected.version
            and self.network.subnet_of(protected)
        )


def parse_rule(text, allows):
    """The Rule that is written ``NETWORK`` or ``NETWORK:PORTS``; ValueError if it is none."""
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    found = re.fullmatch(r"(?:\[([^]]+)\]|([^][:]+))(?::(.+))?", text)
    if found is None:
        raise ValueError(f"{text!r} is no rule: {_EXPECTED}")
    name, ports = found[1] or found[2], found[3]
    try:
        network = None if name == ANY else ip_network(name)
        return Rule(allows, network, _ports(ports) if ports else Rule.ports)
    except ValueError as error:
        raise ValueError(f"{text!r} is no rule ({error}): {_EXPECTED}") from None


_EXPECTED = "write 10.0.0.0/8, 10.0.0.1:80, [2001:db8::/32]:8000-8999 or any:25"


def _ports(text):
    first, _, last = text.partition("-")
    if not re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", text):
        raise ValueError(f"{text} names no ports")
    ports = range(int(first), int(last or first) + 1)
    if not ports or ports[-1] > 0xFFFF:
        raise ValueError(f"{text} is no range within 0 to 65535")
    return ports


class Rules:
    """The first of some Rules that is about an address decides; all others are allowed.

    ``own``: where the proxy listens itself, which is never allowed.
    """

    def __init__(self, rules=(), own=()):
        self.own = own
        self._rules = tuple(rules)

    def allow(self, address):
        """Whether an address, as ``socket.connect`` takes it, may be connected to."""
        ip, port = ip_address(address[0].partition("%")[0]), address[1]
        return all(self._allows(form, port) for form in forms_of(ip))

    def _allows(self, ip, port):
        if any(port == own[1] and _is_at(ip, own[0]) for own in self.own):
            return False
        rules = self._rules
        protected = next((each for each in PROTECTED if ip in each), None)
        if protected is not None:
            rules = [each for each in rules if not each.allows or each.is_only_about(protected)]
        found = next((rule for rule in rules if rule.is_about(ip, port)), None)
        return protected is None if found is None else found.allows


class Networks:
    """Some networks, None among them for all. ``address in networks`` tells."""

    def __init__(self, networks):
        self._networks = tuple(networks)

    def __contains__(self, address):
        if None in self._networks or not isinstance(address, tuple):
            return None in self._networks  # it may come from a Unix socket, by way of a proxy
        ip = _unmapped(address[0])
        return any(each.version == ip.version and ip in each for each in self._networks)


def forms_of(ip):
    """The address, and the IPv4 addresses that it stands for or is tunnelled to."""
    if ip.version == 4:
        return [ip]
    if ip.ipv4_mapped is not None:  # which may be a loopback, depending on Python's version
        return [ip.ipv4_mapped]  # to the system, it is nothing else
    if ip.is_loopback or ip.is_unspecified:
        return [ip]
    packed = ip.packed
    borne = [packed[place:place + 4] for network, place in _BEARING if ip in network]
    if ip in _TEREDO:
        borne += [packed[4:8], bytes(byte ^ 0xFF for byte in packed[12:16])]
    if packed[8:12] in _ISATAP:
        borne.append(packed[12:16])
    return [ip, *map(IPv4Address, borne)]


def _unmapped(host):
    """The address that ``host`` is to the system: IPv4 if it is mapped from that."""
    ip = ip_address(host.partition("%")[0])
    return getattr(ip, "ipv4_mapped", None) or ip


def _is_at(ip, host):
    """Whether who connects to ``ip`` comes to what listens at ``host``."""
    there = _unmapped(host)
    return is_of_this_machine(ip) if there.is_unspecified else ip == there


def is_of_this_machine(ip):
    """Whether it is an address of this machine's own."""
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))  # which sends nothing, but chooses where it would be from
            return ip_address(probe.getsockname()[0].partition("%")[0]) == ip
    except OSError:
        return False  # nothing leads there
