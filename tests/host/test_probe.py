"""Probes through real sockets and rules, in network namespaces."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from agent.core.clock import Deadline
from agent.core.errors import ConfigError
from agent.host.netlink import NetlinkChannel
from agent.host.probe import SocketProber
from agent.host.routes import NetlinkRouting
from agent.modem.actions import ApplyRouting
from agent.modem.model import Allocation, Probe, Route
from agent.modem.routing import modem_routes, modem_rules
from tests.host.netns import Peer, fresh_namespace, ip, link_index, needs_root, peer, serving

pytestmark = [pytest.mark.root, needs_root]

ALLOCATION = Allocation(tcp_port=3128, uid=70_000, table=20_000)
NAME = "probe.example"
Answer = Callable[[dns.message.Message], bytes | None]


def good(query: dns.message.Message) -> bytes:
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.7"))
    return bytes(answer.to_wire())


@contextlib.contextmanager
def resolver(answer: Answer, address: str = "10.9.0.1") -> Iterator[list[str]]:
    """A resolver in the calling thread's namespace; yields the clients' addresses as they come."""
    clients: list[str] = []
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 53))
        sock.settimeout(0.1)

        def step() -> None:
            try:
                data, client = sock.recvfrom(4096)
            except TimeoutError:
                return
            clients.append(client[0])
            reply = answer(dns.message.from_wire(data))
            if reply is not None:
                sock.sendto(reply, client)

        with serving(step):
            yield clients


@contextlib.contextmanager
def listener(address: str = "10.9.0.1", port: int = 443) -> Iterator[None]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((address, port))
        sock.listen()
        yield


@dataclass(frozen=True)
class Net:
    """A modem by `wwan0` with its rules, and an uplink by `wan0` that has the main table's default routes. Behind both
    there is the same resolver and the same target: what leaks is answered."""

    carrier: Peer
    uplink: Peer
    routing: NetlinkRouting

    def connect(self) -> None:
        """The modem's table gets its routes by the link."""
        index = link_index("wwan0")
        routes = {Route(family=family, table=ALLOCATION.table, link_index=index, metric=10) for family in (4, 6)}
        self.routing.apply(ApplyRouting(add_routes=frozenset(routes)))


@pytest.fixture
def net() -> Iterator[Net]:
    far = ("10.9.0.1/30", "2001:db8::1/64")
    with fresh_namespace(), peer("wwan0", *far) as carrier, peer("wan0", "192.0.2.1/24", *far) as uplink:
        for link, addresses in {
            "wwan0": ("10.9.0.2/30", "2001:db8::2/64"),
            "wan0": ("192.0.2.2/24", "2001:db8:1::2/64"),
        }.items():
            for address in addresses:
                nodad = ("nodad",) if ":" in address else ()
                ip("addr", "add", address, "dev", link, "noprefixroute", *nodad)
            ip("link", "set", link, "up")
        ip("-4", "route", "add", "default", "dev", "wan0", "src", "192.0.2.2")
        ip("-6", "route", "add", "default", "dev", "wan0")
        channel = NetlinkChannel()
        routing = NetlinkRouting(channel)
        routing.ensure_host_rules()
        routing.apply(
            ApplyRouting(add_rules=modem_rules(ALLOCATION, 2000), add_routes=modem_routes(ALLOCATION, None, None))
        )
        yield Net(carrier, uplink, routing)
        channel.close()


@contextlib.contextmanager
def answering(where: Peer, answer: Answer = good) -> Iterator[list[str]]:
    """Resolver and target of both families in the peer's namespace; yields the addresses that asked."""
    with contextlib.ExitStack() as stack:
        with where.entered():
            clients = stack.enter_context(resolver(answer))
            clients6 = stack.enter_context(resolver(answer, "2001:db8::1"))
            stack.enter_context(listener())
            stack.enter_context(listener("2001:db8::1"))
        yield clients
        clients += clients6


def probe(*nameservers: str, target: str = "10.9.0.1", uid: int = ALLOCATION.uid, seconds: float = 3.0) -> Probe:
    prober = SocketProber(NAME, ip_address(target), 443)
    return prober.probe(uid, tuple(ip_address(each) for each in nameservers), Deadline.after(seconds))


def test_a_modem_that_is_well_passes(net: Net) -> None:
    net.connect()
    with answering(net.carrier) as clients:
        result = probe("10.9.0.1")
    assert (result.dns, result.tcp, result.detail) == (True, True, "")
    assert result.passed
    assert result.latency_seconds is not None
    assert 0 < result.latency_seconds < 1
    assert clients == ["10.9.0.2"]


def test_a_modem_that_is_well_passes_over_ipv6(net: Net) -> None:
    net.connect()
    with answering(net.carrier) as clients:
        assert probe("2001:db8::1", target="2001:db8::1").passed
    assert clients == ["2001:db8::2"]


@pytest.mark.parametrize("family", [4, 6])
def test_nothing_leaves_by_the_uplink_when_the_table_says_unreachable(net: Net, family: int) -> None:
    address = {4: "10.9.0.1", 6: "2001:db8::1"}[family]
    with answering(net.uplink) as clients:
        started = time.monotonic()
        result = probe(address, target=address)
        assert time.monotonic() - started < 1
        assert (result.dns, result.tcp, result.latency_seconds) == (False, False, None)
        assert "No route to host" in result.detail or "unreachable" in result.detail
        # The same look with the host's own uid shows that the uplink would have answered.
        assert probe(address, target=address, uid=0).passed
    assert len(clients) == 1


def test_nothing_leaves_by_the_uplink_when_the_link_vanishes(net: Net) -> None:
    net.connect()
    ip("link", "del", "wwan0")
    with answering(net.uplink) as clients:
        assert not probe("10.9.0.1").passed
    assert clients == []


def test_silence_ends_at_the_deadline(net: Net) -> None:
    net.connect()
    with net.carrier.entered():
        ip("link", "set", "far", "arp", "off")
    ip("neigh", "replace", "10.9.0.1", "lladdr", "02:00:00:00:00:01", "dev", "wwan0")
    started = time.monotonic()
    result = probe("10.9.0.1", seconds=0.6)
    assert 0.5 < time.monotonic() - started < 1.5
    assert result == Probe(
        dns=False,
        tcp=False,
        detail=f"DNS for {NAME}: 10.9.0.1: no answer in time; TCP to 10.9.0.1:443: no answer in time",
    )


def test_a_lost_question_is_asked_again(net: Net) -> None:
    net.connect()
    asked: list[int] = []

    def second_time(query: dns.message.Message) -> bytes | None:
        asked.append(query.id)
        return good(query) if len(asked) > 1 else None

    with answering(net.carrier, second_time):
        assert probe("10.9.0.1").dns


def test_one_dead_resolver_of_two_does_no_harm(net: Net) -> None:
    net.connect()
    with answering(net.carrier):
        assert probe("10.9.0.3", "10.9.0.1").dns


def test_a_refused_connection_is_said(net: Net) -> None:
    net.connect()
    with net.carrier.entered(), resolver(good):
        pass
    result = probe("10.9.0.1")
    assert not result.dns
    assert not result.tcp
    assert result.detail.count("Connection refused") == 2


def refused(query: dns.message.Message) -> bytes:
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.REFUSED)
    return bytes(answer.to_wire())


def empty(query: dns.message.Message) -> bytes:
    return bytes(dns.message.make_response(query).to_wire())


def truncated(query: dns.message.Message) -> bytes:
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.TC
    return bytes(answer.to_wire())


def with_another_id(query: dns.message.Message) -> bytes:
    data = bytearray(good(query))
    data[0] ^= 0xFF
    return bytes(data)


def to_another_question(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("elsewhere.example", "A", id=query.id)
    return good(other)


def garbage(query: dns.message.Message) -> bytes:
    return b"\xff" * 40


@pytest.mark.parametrize(
    ("answer", "passed", "says"),
    [
        (refused, False, "REFUSED"),
        (empty, False, "an empty answer"),
        (truncated, True, ""),
        (with_another_id, False, "no answer in time"),
        (to_another_question, False, "no answer in time"),
        (garbage, False, "no answer in time"),
    ],
)
def test_answers_are_judged(net: Net, answer: Answer, passed: bool, says: str) -> None:
    net.connect()
    with answering(net.carrier, answer):
        result = probe("10.9.0.1", seconds=0.7)
    assert (result.dns, result.tcp) == (passed, True)
    assert says in result.detail


def test_an_answer_from_elsewhere_is_none(net: Net) -> None:
    """The same answer, from the right host but another port."""
    net.connect()
    with net.carrier.entered():
        liar = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        liar.bind(("10.9.0.1", 5353))
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind(("10.9.0.1", 53))
        listening.settimeout(0.1)

    def step() -> None:
        try:
            data, client = listening.recvfrom(4096)
        except TimeoutError:
            return
        liar.sendto(good(dns.message.from_wire(data)), client)

    with liar, listening, serving(step):
        assert not probe("10.9.0.1", seconds=0.7).dns


def test_a_bearer_without_nameservers_is_said(net: Net) -> None:
    net.connect()
    with answering(net.carrier):
        result = probe()
    assert (result.dns, result.tcp) == (False, True)
    assert result.detail == f"DNS for {NAME}: the bearer has no nameservers"


def test_many_probes_leave_no_descriptor(net: Net) -> None:
    def open_now() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    probe("10.9.0.1", "2001:db8::1")
    before = open_now()
    for _ in range(50):
        probe("10.9.0.1", "2001:db8::1")
    assert open_now() == before


def test_a_name_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="probe_name"):
        SocketProber("a..b", ip_address("192.0.2.1"), 443)
