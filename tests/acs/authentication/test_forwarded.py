"""Where a request comes from, when proxies stand between."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.authentication.forwarded import HEADER_MOST, HOPS_MOST, Origin, find_origin, parse_node

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY, CPE, LIAR = "10.0.0.1", "203.0.113.7", "198.51.100.66"


def origin(
    peer: str = PROXY, *, forwarded: str | None = None, x_for: str | None = None, x_proto: str | None = None
) -> tuple[str | None, bool | None]:
    found = find_origin(peer, TRUSTED, forwarded=forwarded, x_forwarded_for=x_for, x_forwarded_proto=x_proto)
    return None if found.address is None else str(found.address), found.secure


def test_without_a_proxy_it_is_the_peer_whatever_it_writes() -> None:
    assert origin(CPE, forwarded="for=192.0.2.1;proto=https", x_for="192.0.2.1", x_proto="https") == (CPE, None)
    assert find_origin(CPE, (), x_forwarded_for="192.0.2.1") == Origin(ip_address(CPE))


def test_a_trusted_proxy_that_tells_nothing_is_the_origin() -> None:
    assert origin() == (PROXY, None)
    assert origin(forwarded="", x_for=" , ") == (PROXY, None)


@pytest.mark.parametrize(
    ("x_for", "address"),
    [
        (CPE, CPE),
        (f"{LIAR}, {CPE}", CPE),
        (f"{LIAR}, {CPE}, 10.9.9.9", CPE),
        (f"{CPE}:40312", CPE),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:40312, fd00::1", "2001:db8::7"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (f"{CPE}, unknown", PROXY),
        (f"{CPE}, garbage, 10.2.2.2", "10.2.2.2"),
        (f"{CPE},,", CPE),
        ("::ffff:203.0.113.7", CPE),
    ],
)
def test_the_walk_goes_from_right_to_left(x_for: str, address: str) -> None:
    assert origin(x_for=x_for)[0] == address


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"for={CPE}", (CPE, None)),
        (f'For="{CPE}:8080";Proto=https;by=10.0.0.1;host=acs.example.org', (CPE, True)),
        (f"for={LIAR};proto=https, for={CPE};proto=http", (CPE, False)),
        (f"for={CPE};proto=https,for=10.2.2.2;proto=http", (CPE, True)),
        ('for="[2001:db8::7]:4711"', ("2001:db8::7", None)),
        ('for="[2001:db8::7]:_obfuscated"', ("2001:db8::7", None)),
        (f'for="_hidden, for=10.2.2.2", for={CPE}', (CPE, None)),
        (f"for={LIAR}, for=_SEVKISEK;proto=https", (PROXY, True)),
        (f"for={LIAR}, for=unknown", (PROXY, None)),
        (f"for={LIAR}, proto=https", (PROXY, True)),
        (f"for={CPE};for={LIAR}", (PROXY, None)),
        (f"for={CPE}, ;, ", (CPE, None)),
        (f'for={LIAR}, for="{CPE}', (PROXY, None)),
        ("garbage", (PROXY, None)),
        ("for=" + "x" * HEADER_MOST, (PROXY, None)),
    ],
)
def test_the_standards_header(header: str, expected: tuple[str, bool | None]) -> None:
    assert origin(forwarded=header) == expected


def test_a_header_that_the_proxy_did_not_write_is_not_believed() -> None:
    # A proxy that writes X-Forwarded-For passes the sender's own Forwarded on, and the other way round.
    assert origin(forwarded=f"for={LIAR}", x_for=CPE) == (PROXY, None)
    assert origin(forwarded=f"for={LIAR}, for=10.2.2.2", x_for=f"{CPE}, 10.2.2.2") == (PROXY, None)
    assert origin(forwarded=f"for={CPE};proto=https", x_for=CPE, x_proto="https") == (CPE, True)
    assert origin(forwarded=f"for={CPE};proto=https", x_for=CPE, x_proto="http") == (CPE, None)


@pytest.mark.parametrize(
    ("x_for", "x_proto", "secure"),
    [
        (CPE, "https", True),
        (CPE, "HTTP", False),
        (CPE, "ftp", None),
        (CPE, None, None),
        (f"{CPE}, 10.2.2.2", "https, http", True),
        (f"{LIAR}, {CPE}, 10.2.2.2", "https", True),
        (f"{LIAR}, {CPE}", "https, http", False),
        (None, "https", True),
        (None, "http, https", True),
    ],
)
def test_the_scheme_is_that_of_the_hop(x_for: str | None, x_proto: str | None, secure: bool | None) -> None:
    assert origin(x_for=x_for, x_proto=x_proto)[1] is secure


def test_a_unix_socket_has_no_address() -> None:
    assert origin("", x_for=CPE) == (None, None)


def test_the_walk_is_bounded() -> None:
    x_for = ",".join([CPE, *[f"10.0.{place}.1" for place in range(HOPS_MOST)]])

    assert origin(x_for=x_for)[0] == "10.0.0.1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_x",
        "unknown",
        "1.2.3",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:123456",
        "[::1",
        "[::1]x",
        "[]",
        "::1:",
        "x" * 200,
    ],
)
def test_what_is_no_node(text: str) -> None:
    assert parse_node(text) is None


def test_a_scope_is_dropped() -> None:
    assert parse_node("fe80::1%eth0") == ip_address("fe80::1")


_PIECES = st.sampled_from(["for", "=", ";", ",", '"', "\\", " ", "10.0.0.1", CPE, "[::1]", "proto", "https", "%", ":"])
_HEADERS = st.none() | st.text(max_size=100) | st.lists(_PIECES, max_size=40).map("".join)


@given(_HEADERS, _HEADERS, _HEADERS, st.text(max_size=20) | st.sampled_from([PROXY, CPE]))
def test_no_header_raises_and_an_untrusted_peer_is_itself(
    forwarded: str | None, x_for: str | None, x_proto: str | None, peer: str
) -> None:
    found = find_origin(peer, TRUSTED, forwarded=forwarded, x_forwarded_for=x_for, x_forwarded_proto=x_proto)

    if peer == CPE:
        assert found == Origin(ip_address(CPE))
