from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagenet_nk.net.url_guard import block_reason

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "192.0.2.1",
    "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "[::1]", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::", "2002:c0a8:101::", "64:ff9b::7f00:1",
    "64:ff9b::10.1.2.3", "fec0::1", "3fff::1", "192.0.0.9", "192.88.99.1", "198.18.0.1", "2001:20::1",
    "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:192.168.0.1",
]  # fmt: skip
NEVER = [
    "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fd00:ec2::254",
    "100.100.100.200", "192.0.0.192", "168.63.129.16", "169.254.170.2", "fd20:ce::254", "fe80::5efe:169.254.169.254",
    "64:ff9b::a83f:8110", "64:ff9b:1::1", "100::1", "5f00::1",
    "0.0.0.0", "::", "224.0.0.1", "239.1.2.3", "ff02::1", "240.0.0.1", "255.255.255.255",
    "::ffff:0.0.0.0", "", "localhost", "1.2.3", "0x7f000001", "1.2.3.4/32",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "93.184.216.34", "172.15.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
    "2002:808:808::1", "2606:4700::5efe:8.8.8.8", "168.63.129.17", "192.0.1.1", "2a00:1450::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_blocked_unless_allowed(address: str) -> None:
    assert block_reason(address, allow_private=False)
    assert block_reason(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_reserved_addresses_are_always_blocked(address: str) -> None:
    assert block_reason(address, allow_private=False)
    assert block_reason(address, allow_private=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert block_reason(address, allow_private=False) is None


@given(st.ip_addresses())
def test_allow_private_never_blocks_more_addresses(address: object) -> None:
    strict, mild = block_reason(str(address), allow_private=False), block_reason(str(address), allow_private=True)
    assert mild is None or mild == strict


@given(st.ip_addresses(v=4))
def test_ipv6_forms_of_an_address_are_blocked_like_itself(address: object) -> None:
    number = int(address)  # type: ignore[call-overload]
    plain = block_reason(str(address), allow_private=False)
    for form in (f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"):
        assert (block_reason(form, allow_private=False) is None) == (plain is None), form


@given(st.ip_addresses())
def test_addresses_that_python_calls_not_global_are_blocked(address: IPv4Address | IPv6Address) -> None:
    holds_another = address.version == 6 and (address.ipv4_mapped or address.sixtofour or address.teredo)
    if not (address.is_global or holds_another):
        assert block_reason(str(address), allow_private=False)


@given(st.text(max_size=30))
def test_any_text_is_accepted_as_input(text: str) -> None:
    block_reason(text, allow_private=True)
