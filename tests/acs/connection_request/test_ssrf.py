"""A ConnectionRequestURL must not lead into our own network, however it is spelled."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.acs.connection_request.policy import Address, Forbidden, Policy, Target, choose, parse_url

OWN = tuple(map(ip_address, ("198.51.100.10", "2001:db8::10")))
POLICY = Policy(own=OWN)
CPE = "192.0.2.7"


def system_addresses(host: str) -> Sequence[Address]:
    """As the worker finds them; numbers in odd spellings are no names for the C library."""
    with contextlib.suppress(ValueError):
        return [ip_address(host)]
    try:
        infos = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return []
    return [ip_address(str(info[4][0]).partition("%")[0]) for info in infos]


def asked(url: str, policy: Policy = POLICY) -> Address:
    """The address that a request for this URL goes to."""
    return choose(system_addresses(parse_url(url).host), policy)


@pytest.mark.parametrize(
    ("url", "target", "host_header"),
    [
        (f"http://{CPE}", Target(secure=False, host=CPE, tcp_port=80, path="/"), CPE),
        (f"http://{CPE}:7547/cr", Target(secure=False, host=CPE, tcp_port=7547, path="/cr"), f"{CPE}:7547"),
        (f"https://{CPE}/a?b=c&d", Target(secure=True, host=CPE, tcp_port=443, path="/a?b=c&d"), CPE),
        (f"HTTP://{CPE}:/x", Target(secure=False, host=CPE, tcp_port=80, path="/x"), CPE),
        (f"http://{CPE}?x", Target(secure=False, host=CPE, tcp_port=80, path="/?x"), CPE),
        (f"http://{CPE}:443/", Target(secure=False, host=CPE, tcp_port=443, path="/"), f"{CPE}:443"),
        ("https://[2001:DB8::7]:7547/", Target(secure=True, host="2001:db8::7", tcp_port=7547, path="/"), None),
        ("http://CPE.example.net/1", Target(secure=False, host="cpe.example.net", tcp_port=80, path="/1"), None),
        (f"http://{CPE}/%2e%2e//;a=b", Target(secure=False, host=CPE, tcp_port=80, path="/%2e%2e//;a=b"), CPE),
    ],
)
def test_what_real_devices_tell_is_taken(url: str, target: Target, host_header: str | None) -> None:
    assert parse_url(url) == target
    if host_header is not None:
        assert target.host_header == host_header


def test_an_ipv6_address_is_in_brackets_in_the_host_header() -> None:
    assert parse_url("http://[2001:db8::7]/").host_header == "[2001:db8::7]"
    assert parse_url("http://[2001:db8::7]:7547/").host_header == "[2001:db8::7]:7547"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http",
        "http:",
        "http://",
        "http:///cr",
        "//192.0.2.7/",
        "192.0.2.7:7547",
        *(
            f"{scheme}://{CPE}/"
            for scheme in ("ftp", "file", "gopher", "dict", "ldap", "httpx", "ws", "unix", "javascript")
        ),
        "file:///etc/passwd",
        "http:192.0.2.7/",
        f"http+unix://{CPE}/",
        "data:text/plain,x",
        f"http://user@{CPE}/",
        f"http://user:secret@{CPE}/",
        f"http://@{CPE}/",
        f"http://:@{CPE}/",
        f"http://{CPE}@127.0.0.1/",
        f"http://127.0.0.1\\@{CPE}/",
        f"http://{CPE}\\.example.net/",
        f"http://{CPE}:0/",
        f"http://{CPE}:65536/",
        f"http://{CPE}:-80/",
        f"http://{CPE}:80:80/",
        f"http://{CPE}:8o/",
        f"http://{CPE}/a b",
        f"http://{CPE}/\r\nX-Evil: 1",
        f"http://{CPE}\t/",
        f"http://{CPE}/\x00",
        "http://cpe.example.net\n/",
        "http://exämple.net/",
        "http://127.0.0.1\N{IDEOGRAPHIC FULL STOP}evil.example/",
        "http://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
        "http://[::1",
        "http://::1/",
        "http://[]/",
        "http://[x]/",
        "http://a..b/",
        "http://.example.net/",
        "http://-cpe.example.net/",
        "http://cpe;ls.example.net/",
        "http://$(id).example.net/",
        "http://%31%32%37.0.0.1/",
        f"http://{'a' * 64}.example.net/",
        f"http://{'a.' * 127}ab/",
        f"http://{CPE}/{'x' * 1024}",
        "http://[2001:db8::7%25eth0]/",
        "http://[2001:db8::7%eth0]/",
        "http://[2001:db8::10%251]/",
        "http://[fe80::1%25lo]/",
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        parse_url(url)


LOOPBACK = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.0.0.1.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[2002:7f00:1::1]",
    "[2002:7f00:0001::]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2001:0:c000:207:0:0:80ff:fffe]",  # Teredo, the client's address inverted
)
INSIDE = {
    **dict.fromkeys(LOOPBACK, "loopback"),
    **dict.fromkeys(("0", "0.0.0.0", "0.1.2.3", "0x0", "00", "[::]", "[::ffff:0.0.0.0]"), "nowhere"),
    **dict.fromkeys(
        (
            "169.254.169.254",
            "169.254.0.1",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.16689662",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[fe80::1]",
            "[fe80::ffff:ffff:ffff:ffff]",
            "[febf::1]",
        ),
        "link-local, and metadata of a cloud",
    ),
    **dict.fromkeys(("[fd00:ec2::254]", "168.63.129.16", "192.0.0.192"), "metadata of other clouds"),
    **dict.fromkeys(
        ("224.0.0.1", "239.255.255.250", "3758096385", "[ff02::1]", "[ff0e::1]", "[::ffff:224.0.0.1]"), "multicast"
    ),
    **dict.fromkeys(("255.255.255.255", "4294967295", "0xffffffff", "[::ffff:255.255.255.255]"), "broadcast"),
    **dict.fromkeys(
        (
            "198.51.100.10",
            "3325256714",
            "0xc633640a",
            "198.51.25610",
            "0306.063.0144.012",
            "[::ffff:198.51.100.10]",
            "[::198.51.100.10]",
            "[2002:c633:640a::1]",
            "[64:ff9b::c633:640a]",
            "[2001:db8::10]",
            "[2001:0db8:0000::0010]",
            "[2001:0:c000:207:0:0:39cc:9bf5]",
        ),
        "this host's own",
    ),
}


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("form", ["http://{}/", "https://{}:7547/cr?x"])
def test_inside_is_inside_however_it_is_spelled(host: str, form: str) -> None:
    with pytest.raises(Forbidden):
        asked(form.format(host))


@pytest.mark.parametrize(
    "host",
    [CPE, "10.0.0.7", "192.168.1.1", "100.64.3.2", "172.16.0.9", "[2001:db8::7]", "[fd00::7]", "[2002:c000:207::1]"],
)
def test_where_cpes_are_may_be_asked(host: str) -> None:
    assert asked(f"http://{host}:7547/") == ip_address(host.strip("[]"))


def test_own_addresses_with_a_zone_are_own() -> None:
    for own, given_ in (("2001:db8::10%2", "2001:db8::10"), ("2001:db8::10", "2001:db8::10%2")):
        with pytest.raises(Forbidden, match="own address"):
            Policy(own=(ip_address(own),)).check(ip_address(given_))


class TestNames:
    @pytest.mark.parametrize(
        "addresses",
        [
            ("127.0.0.1",),
            ("192.0.2.7", "127.0.0.1"),
            ("127.0.0.1", "192.0.2.7"),
            ("192.0.2.7", "2001:db8::7", "::1"),
            ("192.0.2.7", "::ffff:169.254.169.254"),
            ("192.0.2.7", "198.51.100.10"),
            ("2001:db8::7", "fe80::1%2"),
        ],
    )
    def test_a_name_that_also_leads_inside_is_a_trap(self, addresses: tuple[str, ...]) -> None:
        with pytest.raises(Forbidden):
            choose(map(ip_address, addresses), POLICY)

    def test_the_first_address_of_a_good_name_is_asked(self) -> None:
        assert choose(map(ip_address, ("2001:db8::7", "192.0.2.7")), POLICY) == ip_address("2001:db8::7")

    def test_a_name_without_an_address_is_refused(self) -> None:
        with pytest.raises(Forbidden, match="no address"):
            choose([], POLICY)


class TestLists:
    def test_what_the_operator_allows_may_be_asked(self) -> None:
        policy = Policy(own=OWN, allow=(ip_network("127.0.0.0/8"), ip_network("::1/128"), ip_network("198.51.100.10")))
        assert asked("http://127.0.0.5:7547/", policy) == ip_address("127.0.0.5")
        assert asked("http://[::1]/", policy) == ip_address("::1")
        assert asked("http://198.51.100.10/", policy) == ip_address("198.51.100.10")
        for still in ("169.254.169.254", "[2001:db8::10]", "0.0.0.0", "[64:ff9b::a9fe:a9fe]"):
            with pytest.raises(Forbidden):
                asked(f"http://{still}/", policy)

    def test_a_network_that_holds_a_hidden_address_does_not_allow_that(self) -> None:
        policy = Policy(own=OWN, allow=(ip_network("64:ff9b::/96"), ip_network("2002::/16")))
        for host in ("[64:ff9b::7f00:1]", "[2002:7f00:1::1]"):
            with pytest.raises(Forbidden):
                asked(f"http://{host}/", policy)

    def test_what_the_operator_denies_may_not_whatever_is_allowed(self) -> None:
        everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
        policy = Policy(allow=everything, deny=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
        for host in (CPE, "[::ffff:192.0.2.7]", "[64:ff9b::c000:207]", "[2002:c000:207::1]", "[2001:db8::1]"):
            with pytest.raises(Forbidden, match="connection_request_deny"):
                asked(f"http://{host}/", policy)
        assert asked("http://127.0.0.1/", policy) == ip_address("127.0.0.1")

    def test_the_reason_tells_the_setting(self) -> None:
        with pytest.raises(Forbidden, match=r"169\.254\.169\.254 is .*; acs\.connection_request_allow"):
            asked("http://169.254.169.254/")


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet=st.sampled_from("htps:/@[]%.0127fx?#\\ \t"), max_size=40).map(lambda rest: f"http://{rest}"),
        st.ip_addresses().map(lambda address: f"http://{address}/" if address.version == 4 else f"http://[{address}]/"),
    )
)
@example("http://[v1.x]/")
@example("http://[127.0.0.1]/")
@example("http://a\u2100b/")
def test_a_url_is_taken_or_forbidden(url: str) -> None:
    with contextlib.suppress(Forbidden):
        target = parse_url(url)
        assert target.path.startswith("/")
        assert 1 <= target.tcp_port <= 65_535
        request_line = f"GET {target.path} HTTP/1.1\r\nHost: {target.host_header}"
        assert request_line.isascii()
        assert request_line.count("\r") == request_line.count("\n") == 1
        target.host.encode("idna")
        for address in system_addresses(target.host):
            with contextlib.suppress(Forbidden):
                POLICY.check(address)
                assert not address.is_loopback
                assert not address.is_link_local
                assert not address.is_multicast
                assert address not in OWN
