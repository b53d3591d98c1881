"""Where a connection request may go, and where it must not."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.acs.connection_request.policy import (
    URL_MOST,
    Forbidden,
    Policy,
    Target,
    canonical,
    choose,
    literal_address,
    parse_url,
    permitted,
)

OWN = (ip_address("192.0.2.10"), ip_address("2001:db8::10"), ip_address("fe80::10%eth0"))
POLICY = Policy(own=OWN, denied_tcp_ports=frozenset({22, 25}))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://192.0.2.1:7547/x?y=1", Target(secure=False, host="192.0.2.1", tcp_port=7547, path="/x?y=1")),
        ("HTTP://CPE.example.org", Target(secure=False, host="cpe.example.org", tcp_port=80, path="/")),
        ("https://cpe.example.org./a", Target(secure=True, host="cpe.example.org.", tcp_port=443, path="/a")),
        ("https://[2001:db8::1]:30005/", Target(secure=True, host="2001:db8::1", tcp_port=30005, path="/")),
        ("http://192.0.2.1./", Target(secure=False, host="192.0.2.1", tcp_port=80, path="/")),
        (" http://my_cpe:/?q \r\n", Target(secure=False, host="my_cpe", tcp_port=80, path="/?q")),
        ("http://a.b2/;p", Target(secure=False, host="a.b2", tcp_port=80, path="/;p")),
    ],
)
def test_a_plain_url_is_taken_apart(url: str, target: Target) -> None:
    assert parse_url(url) == target


@pytest.mark.parametrize(
    ("url", "host_header"),
    [
        ("http://a:80/", "a"),
        ("http://a:443/", "a:443"),
        ("https://a:443/", "a"),
        ("http://[2001:db8::1]:7547/", "[2001:db8::1]:7547"),
    ],
)
def test_the_host_header_is_that_of_the_url(url: str, host_header: str) -> None:
    assert parse_url(url).host_header == host_header


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http:///x",
        "http:a",
        "//a/",
        "a",
        "ftp://a/",
        "file:///etc/passwd",
        "gopher://a/",
        "http+unix://a/",
        "javascript:alert(1)",
        "http://user@a/",
        "http://user:password@a/",
        "http://@a/",
        "http://192.0.2.1#@127.0.0.1/",
        "http://a/#fragment",
        "http://a#",
        "http://a\\@b/",
        "http://a\\b/",
        "http://a b/",
        "http://a/ b",
        "http://a/\r\nHost: b",
        "http://a\x00/",
        "http://ä/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:-1/",
        "http://a:+80/",
        "http://a:8 0/",
        "http://a:80:80/",
        "http://a:x/",
        "http://a%2eb/",
        "http://a..b/",
        "http://.a/",
        "http://-a/",
        "http://a-/",
        "http://" + "a" * 64 + "/",
        "http://" + "a." * 130 + "/",
        "http://a/" + "x" * URL_MOST,
        "http://[::1/",
        "http://::1/",
        "http://[127.0.0.1]/",
        "http://[a]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        # A scope must not make our own address look like another one.
        "http://[2001:db8::10%1]/",
        # IPv4 in the spellings that inet_aton takes.
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.0x1/",
        "http://127.0.0.1.1/",
        "http://0/",
        "http://0x/",
        "http://1.2.3.256/",
        "http://a.1/",
        "http://a.0x1./",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        parse_url(url)


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.1",
        "10.1.2.3",
        "192.168.1.1",
        "100.64.0.1",
        "2001:db8::1",
        "fd12:3456::1",
        "::ffff:203.0.113.1",
        "64:ff9b::203.0.113.1",
    ],
)
def test_a_cpe_may_be_anywhere_else_also_in_private_networks(text: str) -> None:
    address = ip_address(text)

    assert choose([address], POLICY) == canonical(address)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.10",
        "::",
        "::1",
        "::1%1",
        "fe80::1",
        "fe80::1%eth0",
        "fe80::10",
        "ff02::1",
        "2001:db8::10",
        "2001:db8::10%1",
        # What stands for IPv4: mapped, compatible, translated, NAT64 by both prefixes, 6to4, Teredo, ISATAP.
        "::ffff:127.0.0.1",
        "::ffff:192.0.2.10",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::192.0.2.10",
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "2002:7f00:1::1",
        "2002:c000:20a::1",
        "2002:a9fe:a9fe::",
        "2001:0:7f00:1::5601:302",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2001:db8::5efe:127.0.0.1",
        "2001:db8::200:5efe:127.0.0.1",
    ],
)
def test_nothing_leads_into_our_own_network(text: str) -> None:
    address = ip_address(text)

    with pytest.raises(Forbidden):
        POLICY.check(address)
    with pytest.raises(Forbidden):
        choose([ip_address("203.0.113.1"), address], POLICY)


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(Forbidden):
        permitted([], POLICY)


@pytest.mark.parametrize(
    ("allow", "text"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("::1/128", "::1"),
        ("169.254.0.0/16", "169.254.7.7"),
        ("192.0.2.10/32", "192.0.2.10"),
        ("2001:db8::/64", "2001:db8::10"),
    ],
)
def test_the_operator_may_allow_a_network(allow: str, text: str) -> None:
    policy = Policy(own=OWN, allow=(ip_network(allow),))

    assert permitted([ip_address(text)], policy) == (canonical(ip_address(text)),)


def test_to_allow_a_translators_prefix_is_not_to_allow_what_is_behind() -> None:
    policy = Policy(allow=(ip_network("64:ff9b::/96"), ip_network("::/0")))

    with pytest.raises(Forbidden):
        policy.check(ip_address("64:ff9b::127.0.0.1"))


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1"])
def test_what_is_denied_is_denied_whatever_is_allowed(text: str) -> None:
    policy = Policy(allow=(ip_network("0.0.0.0/0"), ip_network("::/0")), deny=(ip_network("10.0.0.0/8"),))

    with pytest.raises(Forbidden, match="denied"):
        policy.check(ip_address(text))


def test_the_address_to_connect_to_is_the_one_that_was_checked() -> None:
    found = [ip_address("::ffff:203.0.113.1"), ip_address("203.0.113.1"), ip_address("2001:db8::1%3")]

    assert permitted(found, POLICY) == (IPv4Address("203.0.113.1"), IPv6Address("2001:db8::1"))


@pytest.mark.parametrize("tcp_port", [22, 25, 0, 65_536])
def test_tcp_ports_can_be_denied(tcp_port: int) -> None:
    with pytest.raises(Forbidden):
        POLICY.check_tcp_port(tcp_port)
    POLICY.check_tcp_port(7547)


_PIECES = st.sampled_from(
    ["http", "s", "://", "@", "#", "?", "/", ":", "[", "]", "%", "127.0.0.1", "::1", "a", ".", "0x"]
)


@given(st.text(max_size=80) | st.lists(_PIECES, max_size=20).map("".join))
@example("http://[::1")
@example("http://[v1.x]/")
def test_no_url_raises_anything_else(text: str) -> None:
    for url in (text, f"http://{text}", f"https://[{text}]/"):
        with contextlib.suppress(Forbidden):
            target = parse_url(url)
            assert 1 <= target.tcp_port <= 65_535
            assert target.path.startswith("/")
            assert all("!" <= char <= "~" for char in target.host_header + target.path)
            assert literal_address(target.host) is None or "%" not in target.host


@given(st.ip_addresses(network="127.0.0.0/8") | st.ip_addresses(network="169.254.0.0/16"))
def test_no_embedding_of_a_forbidden_address_is_allowed(address: IPv4Address) -> None:
    number = int(address)
    embedded = [
        IPv6Address((prefix << 32) | number)
        for prefix in (0, 0xFFFF, 0xFFFF0000, 0x0064FF9B << 64, 0x0064FF9B0001 << 48, (0x20010DB8 << 64) | 0x5EFE)
    ]
    embedded.append(IPv6Address(0x2002 << 112 | number << 80 | 1))

    everywhere: list[IPv4Address | IPv6Address] = [address, *embedded]
    for each in everywhere:
        with pytest.raises(Forbidden):
            POLICY.check(each)


@given(st.ip_addresses())
def test_every_address_is_judged(address: IPv4Address | IPv6Address) -> None:
    with contextlib.suppress(Forbidden):
        POLICY.check(address)
