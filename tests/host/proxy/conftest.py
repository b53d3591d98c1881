"""A host with a proxy in one network namespace, the internet in another."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agent.host.proxy.instances import ProxyInstances
from agent.host.proxy.process_runner import ProcessUnits
from agent.host.proxy.processes import find_processes
from agent.host.proxy.render import ThreeProxyRenderer
from agent.modem.model import Desired
from agent.sim.threeproxy import standin_command
from tests.host.proxy.clients import Client, Login
from tests.host.proxy.examples import SERIAL, desired
from tests.host.proxy.namespaces import Namespace, may_make_namespaces
from tests.host.proxy.origin import Services

LISTEN = "192.0.2.1"
LAN_CLIENT = "192.0.2.20"
STRANGER = "192.0.2.200"
ORIGIN = "203.0.113.10"
ORIGIN6 = "2001:db8:3::10"
RESOLVER = "203.0.113.53"
UID = 76_000
PROGRAMS = ("3proxy", "stand-in")
NAMES = {
    "origin.test": ORIGIN,
    "six.test": ORIGIN6,
    "inside.test": "127.0.0.1",
    "host.test": LISTEN,
}


@dataclass
class World:
    """The two namespaces and what is served in them."""

    host: Namespace = field(default_factory=Namespace)
    internet: Namespace = field(default_factory=Namespace)
    origin: Services = field(default_factory=Services)
    inside: Services = field(default_factory=Services)

    def __post_init__(self) -> None:
        self.host.ip(f"link add up0 type veth peer name down0 netns {self.internet.thread_id}")
        for namespace, words in (
            (self.host, "link set up0 up"),
            (self.internet, "link set down0 up"),
            (self.host, "address add 203.0.113.1/24 dev up0"),
            (self.host, "address add 2001:db8:3::1/64 dev up0 nodad"),
            (self.internet, f"address add {ORIGIN}/24 dev down0"),
            (self.internet, f"address add {RESOLVER}/24 dev down0"),
            (self.internet, f"address add {ORIGIN6}/64 dev down0 nodad"),
            (self.host, f"address add {LISTEN}/32 dev lo"),
            (self.host, f"address add {LAN_CLIENT}/32 dev lo"),
            (self.host, f"address add {STRANGER}/32 dev lo"),
        ):
            namespace.ip(words)
        self.internet.run(self.origin.serve_http, ORIGIN)
        self.internet.run(self.origin.serve_http, ORIGIN6)
        self.internet.run(self.origin.serve_echo, ORIGIN)
        self.internet.run(self.origin.serve_names, RESOLVER, NAMES)
        self.host.run(self.inside.serve_http, "0.0.0.0")
        self.host.run(self.inside.serve_echo, "0.0.0.0")

    def close(self) -> None:
        self.origin.close()
        self.inside.close()
        self.host.close()
        self.internet.close()


@dataclass
class RunningProxy:
    """A modem's proxy, run by a program under the modem's uid in the host's namespace."""

    world: World
    instances: ProxyInstances
    units: ProcessUnits
    folder: Path
    wishes: Desired = field(default_factory=desired)

    def write(self, **changes: Any) -> str:
        """Render and write; the proxy takes it with the next start or reload."""
        values = {"allow": ("192.0.2.0/25",), "nameservers": (ip_address(RESOLVER),), **changes}
        self.wishes = desired(**values)
        text = ThreeProxyRenderer().render(self.wishes, ())
        self.instances.write(SERIAL, UID, text)
        return text

    def start(self, **changes: Any) -> None:
        self.write(**changes)
        self.world.host.run(self.instances.start, SERIAL, UID)

    def reload(self) -> None:
        self.world.host.run(self.instances.reload, SERIAL)

    def client(self, login: Login = None, source: str = LAN_CLIENT) -> Client:
        allocation = self.wishes.allocation
        assert allocation is not None
        return Client(host=LISTEN, tcp_port=allocation.tcp_port, source=source, login=login)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    if not may_make_namespaces():
        pytest.skip("needs root, for network namespaces")
    built = World()
    yield built
    built.close()


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    if request.param == "3proxy" and shutil.which("3proxy") is None:
        pytest.skip("3proxy is not on PATH: only the stand-in is tested")
    return str(request.param)


@pytest.fixture
def command(program: str) -> tuple[str, ...]:
    """What starts the program under test."""
    if program == "stand-in":
        return standin_command()
    return (shutil.which(program) or program, "{config}")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a modem's uid can read, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="lastmile-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def proxy(world: World, command: tuple[str, ...], open_folder: Path) -> Iterator[RunningProxy]:
    units = ProcessUnits(command, config_dir=open_folder / "cfg", state_dir=open_folder / "run")
    instances = ProxyInstances(units, config_dir=open_folder / "cfg", state_dir=open_folder / "run")
    running = RunningProxy(world=world, instances=instances, units=units, folder=open_folder)
    yield running
    log = open_folder / "run" / f"{SERIAL}.log"
    if log.exists():
        sys.stdout.write(log.read_text(errors="replace"))
    for process in find_processes(UID):
        process.signal(signal.SIGKILL)  # 3proxy takes three seconds to end at SIGTERM
    instances.forget(SERIAL)
