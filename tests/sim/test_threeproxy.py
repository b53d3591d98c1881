"""What is particular to the stand-in; what it shares with 3proxy is in tests/host/proxy/test_contract.py."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.host.proxy.directives import Operation
from agent.host.proxy.parser import parse
from agent.sim.threeproxy_names import NoSuchNameError, Resolver, parse_literal
from agent.sim.threeproxy_policy import Asked, Configuration, Outcome
from tests.host.proxy.examples import USERS, configuration

LAN = ip_address("192.0.2.20")
INTERNET = ip_address("203.0.113.10")


def asked(**changes: object) -> Asked:
    values = {"client": LAN, "operation": Operation.CONNECT, "target": INTERNET, **changes}
    return Asked(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        (asked(), Outcome.GRANTED),
        (asked(target=None), Outcome.GRANTED),
        (asked(target=ip_address("127.0.0.1")), Outcome.DENIED),
        (asked(target=ip_address("192.0.2.1")), Outcome.DENIED),
        (asked(target=ip_address("::ffff:127.0.0.1")), Outcome.DENIED),
        (asked(client=ip_address("192.0.2.200")), Outcome.DENIED),
        (asked(client=ip_address("192.0.2.200"), target=None), Outcome.DENIED),
    ],
)
def test_by_address(request_: Asked, outcome: Outcome) -> None:
    assert Configuration(parse(configuration())).decide(request_) is outcome


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        (asked(), Outcome.LOGIN_WANTED),
        (asked(user="alice", password="correct/horse=1"), Outcome.GRANTED),
        (asked(user="alice", password="wrong"), Outcome.LOGIN_WRONG),
        (asked(user="alice"), Outcome.LOGIN_WRONG),
        (asked(user="mallory", password=""), Outcome.LOGIN_WRONG),
        (asked(user="bob", password="battery-staple", target=ip_address("10.0.0.1")), Outcome.DENIED),
    ],
)
def test_with_users(request_: Asked, outcome: Outcome) -> None:
    assert Configuration(parse(configuration(users=USERS))).decide(request_) is outcome


def test_a_hash_is_more_than_it_can_do() -> None:
    text = configuration(users=USERS).replace('"bob:CL:battery-staple"', '"bob:CR:$3$a$b"')
    with pytest.raises(ConfigError, match="clear passwords only"):
        Configuration(parse(text))


@pytest.mark.parametrize("missing", ["auth", "auto", "timeouts", "maxconn", "logformat"])
def test_a_file_without_what_it_needs(missing: str) -> None:
    text = "".join(line for line in configuration().splitlines(keepends=True) if not line.startswith(missing))
    with pytest.raises(ConfigError, match="needs"):
        Configuration(parse(text))


@pytest.mark.parametrize("text", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1"])
def test_every_spelling_of_an_address(text: str) -> None:
    assert parse_literal(text) == ip_address("127.0.0.1")


def test_a_name_is_no_address() -> None:
    assert parse_literal("origin.test") is None
    with pytest.raises(NoSuchNameError):
        Resolver((ip_address("127.0.0.1"),), 0.2, tcp_port=9).resolve("origin.test")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration on loopback with a free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        tcp_port = server.getsockname()[1]
    path = tmp_path / "modem.cfg"
    path.write_text(
        configuration(listen=ip_address("127.0.0.1"), allow=("127.0.0.0/8",)).replace("-p3128", f"-p{tcp_port}")
    )
    return path


@pytest.fixture
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-m", "agent.sim.threeproxy", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert listens(config, True), "it does not listen"
        yield process
        process.kill()


def listens(config: Path, wanted: bool) -> bool:
    """Wait until the TCP port that the file names is open, or closed."""
    tcp_port = int(config.read_text().rpartition("-p")[2].split()[0])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", tcp_port), 1).close()
        except OSError:
            if not wanted:
                return True
        else:
            if wanted:
                return True
        time.sleep(0.01)
    return False


def test_sigterm_ends_it_with_status_0(running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=5) == 0


def test_a_reload_with_another_tcp_port(running: subprocess.Popen[str], config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        tcp_port = server.getsockname()[1]
    old = config.read_text()
    config.write_text(old.replace(old.rpartition("-p")[2].split()[0], str(tcp_port)))
    running.send_signal(signal.SIGUSR1)
    assert listens(config, True)


def test_a_reload_of_nonsense_loses_the_listener_as_3proxy_does(running: subprocess.Popen[str], config: Path) -> None:
    good = config.read_text()
    config.write_text(good + "nonsense\n")
    running.send_signal(signal.SIGUSR1)
    config_as_it_was = config.with_name("copy")
    config_as_it_was.write_text(good)
    assert listens(config_as_it_was, False)
    assert running.poll() is None
    config.write_text(good)
    running.send_signal(signal.SIGUSR1)
    assert listens(config, True)


def test_its_log_is_what_the_format_says(running: subprocess.Popen[str], config: Path) -> None:
    tcp_port = int(config.read_text().rpartition("-p")[2].split()[0])
    with socket.create_connection(("127.0.0.1", tcp_port), 5) as stream:
        stream.sendall(b'GET http://127.0.0.1/"\\ HTTP/1.1\r\nHost: x"y\r\n\r\n')
        assert b" 403 " in stream.recv(1000)
    assert running.stdout is not None
    while (record := json.loads(running.stdout.readline()))["service"] != "PROXY":
        pass
    assert (record["error"], record["client"], record["host"]) == ("00001", "127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize("text", ["", "nonsense\n", "log\n", " auto -p1\n"])
def test_a_file_that_is_not_understood_ends_it_with_status_1(config: Path, text: str) -> None:
    config.write_text(text)
    command = [sys.executable, "-m", "agent.sim.threeproxy", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert str(config) in ended.stderr


def test_bad_arguments_end_it_with_status_2() -> None:
    ended = subprocess.run([sys.executable, "-m", "agent.sim.threeproxy"], capture_output=True, timeout=20, check=False)
    assert ended.returncode == 2


IN_A_CLOSED_FOLDER = """
import os, sys
import agent.sim.threeproxy
os.setgroups = os.setresgid = os.setresuid = lambda *_: None
agent.sim.threeproxy._become(70000)
class Closed:
    def find_spec(self, name, path=None, target=None):
        raise ImportError(f"{name} is out of reach")
sys.meta_path.insert(0, Closed())
sys.path_importer_cache.clear()
from dns.message import from_wire
from agent.sim.threeproxy_names import Resolver
replies = iter([bytes.fromhex(text) for text in sys.argv[1:]])
def reply(self, nameserver, wire):
    return wire[:2] + next(replies)[2:]
Resolver._exchange = reply
resolver = Resolver(["192.0.2.53"], 1.0)
print(resolver.resolve("a.test"), resolver.resolve("b.test"))
"""


def test_names_are_resolved_when_the_program_s_files_are_out_of_reach() -> None:
    """The stand-in of a checkout below a closed folder (/root) serves as a user who cannot open its files."""
    import dns.message
    import dns.rrset

    replies = []
    for name, kind, address, alias in (
        ("a", "A", "192.0.2.1", True),
        ("b", "A", "", False),
        ("b", "AAAA", "2001:db8::1", True),
    ):
        reply = dns.message.make_response(dns.message.make_query(f"{name}.test", kind))
        if alias:
            reply.answer.append(dns.rrset.from_text(f"{name}.test.", 60, "IN", "CNAME", "c.test."))
            reply.answer.append(dns.rrset.from_text("c.test.", 60, "IN", kind, address))
        else:
            reply.authority.append(dns.rrset.from_text("test.", 60, "IN", "SOA", "n.test. h.test. 1 2 3 4 5"))
        replies.append(reply.to_wire().hex())
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CLOSED_FOLDER, *replies], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout.split()) == (0, ["192.0.2.1", "2001:db8::1"]), done.stderr
