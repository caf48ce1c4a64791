"""IP addresses as text and as bytes, as ``ipaddress`` knows them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greensock.net.literals import as_ipv6, ip_text, packed_ip

pytestmark = pytest.mark.worldless


@given(st.ip_addresses())
def test_every_address_goes_there_and_back(address):
    plain = getattr(address, "ipv4_mapped", None) or address
    packed = packed_ip(str(address))
    assert plain.packed == packed
    assert plain == ipaddress.ip_address(ip_text(packed))


@given(st.text() | st.from_regex(r"[0-9a-f:.%]*", fullmatch=True))
def test_whatever_is_none_is_told(text):
    try:
        expected = ipaddress.ip_address(text.partition("%")[0]).packed
    except ValueError:
        with pytest.raises(ValueError):
            packed_ip(text)
    else:
        assert as_ipv6(expected) == as_ipv6(packed_ip(text))


def test_an_ipv4_address_may_be_written_as_an_ipv6_one():
    assert bytes([127, 0, 0, 1]) == packed_ip("::ffff:127.0.0.1") == packed_ip("::ffff:7f00:1")
    assert "::ffff:127.0.0.1" == ip_text(as_ipv6(packed_ip("127.0.0.1")))
    assert packed_ip("fe80::1") == packed_ip("fe80::1%eth0")
