"""Instances from configuration to listening socket, with a real program under them."""

from __future__ import annotations

import signal
import socket
import stat
import threading
import time
from ipaddress import ip_address, ip_network

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.core.identifiers import Serial
from agent.host.proxy.instances import ProxyInstances
from agent.host.proxy.processes import ProcessIdentity, find_processes
from agent.modem.model import ProxyState, UnitState
from agent.modem.ports import ProxyHost
from agent.modem.proxying import configuration_digest
from tests.host.proxy.conftest import LISTEN, UID, RunningProxy
from tests.host.proxy.examples import SERIAL, configuration

pytestmark = pytest.mark.root
ADDRESS = ip_address(LISTEN)


def observed(proxy: RunningProxy, tcp_port: int = 3128) -> ProxyState:
    return proxy.world.host.run(proxy.instances.observe, SERIAL, ADDRESS, tcp_port)


def the_process() -> ProcessIdentity:
    (process,) = find_processes(UID)
    return process


def test_it_is_a_proxy_host(proxy: RunningProxy) -> None:
    host: ProxyHost = proxy.instances
    assert host.known() == []


def test_nothing_is_there_at_first(proxy: RunningProxy) -> None:
    assert observed(proxy) == ProxyState()


def test_writing_keeps_passwords_from_others(proxy: RunningProxy) -> None:
    text = proxy.write()
    file = (proxy.folder / "cfg" / f"{SERIAL}.cfg").stat()
    assert stat.S_IMODE(file.st_mode) == 0o640
    assert (file.st_uid, file.st_gid) == (0, UID)
    assert observed(proxy) == ProxyState(configuration=text)
    assert proxy.instances.known() == [SERIAL]


def test_a_started_one_listens_and_has_loaded_its_text(proxy: RunningProxy) -> None:
    proxy.start()
    text = (proxy.folder / "cfg" / f"{SERIAL}.cfg").read_text()
    assert observed(proxy) == ProxyState(
        configuration=text, loaded=configuration_digest(text), unit=UnitState.ACTIVE, listening=True
    )


def test_a_text_that_is_written_but_not_loaded_is_seen_as_such(proxy: RunningProxy) -> None:
    proxy.start()
    text = proxy.write(maximum_connections=7)
    state = observed(proxy)
    assert (state.configuration, state.loaded, state.listening) == (text, None, True)
    proxy.reload()
    assert observed(proxy).loaded == configuration_digest(text)


def test_a_reload_is_no_restart(proxy: RunningProxy) -> None:
    proxy.start()
    before = the_process()
    proxy.write(maximum_connections=7)
    proxy.reload()
    assert the_process() == before


def test_one_that_loses_its_listener_at_a_reload_is_restarted(proxy: RunningProxy) -> None:
    proxy.start()
    before = the_process()
    proxy.write(maximum_connections=7)
    config = proxy.folder / "cfg" / f"{SERIAL}.cfg"
    good = config.read_text()
    config.write_text("nonsense\n")
    before.signal(signal.SIGUSR1)
    proxy.world.host.run(threading.Event().wait, 1.5)
    config.write_text(good)
    assert not observed(proxy).listening
    before.signal(signal.SIGSTOP)  # it will not take the reload either
    proxy.reload()
    assert the_process() != before
    assert observed(proxy).listening
    assert observed(proxy).loaded == configuration_digest(good)


def test_a_text_that_would_open_the_proxy_is_not_written(proxy: RunningProxy) -> None:
    text = proxy.write()
    with pytest.raises(ConfigError, match="no auth line"):
        proxy.instances.write(SERIAL, UID, text.replace("auth iponly\n", ""))
    assert observed(proxy).configuration == text


def test_the_hosts_own_addresses_have_to_be_denied(proxy: RunningProxy) -> None:
    strict = ProxyInstances(
        proxy.units,
        config_dir=proxy.folder / "cfg",
        state_dir=proxy.folder / "run",
        must_deny=lambda: [ip_network("198.51.100.99")],
    )
    with pytest.raises(ConfigError, match=r"198\.51\.100\.99/32 is not denied"):
        strict.write(SERIAL, UID, configuration())
    strict.write(SERIAL, UID, configuration(deny_to=("198.51.100.0/24",)))


def test_a_dead_one_does_not_listen_and_starts_again(proxy: RunningProxy) -> None:
    proxy.start()
    the_process().signal(signal.SIGKILL)
    proxy.world.host.run(threading.Event().wait, 0.1)
    state = observed(proxy)
    assert (state.unit, state.listening, state.loaded) == (UnitState.FAILED, False, None)
    proxy.world.host.run(proxy.instances.start, SERIAL, UID)
    assert observed(proxy).listening


def test_one_that_hangs_does_not_listen_once_that_is_certain(
    proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.host.proxy.instances.ANSWER_SECONDS", 0.3)
    proxy.start()
    the_process().signal(signal.SIGSTOP)
    assert [observed(proxy).listening for _ in range(2)] == [True, False]
    monkeypatch.undo()
    proxy.world.host.run(proxy.instances.restart, SERIAL, UID)
    assert [observed(proxy).listening for _ in range(2)] == [True, True]


def test_a_strangers_socket_is_not_ours(proxy: RunningProxy) -> None:
    def with_a_stranger() -> ProxyState:
        with socket.create_server((LISTEN, 3999)):
            return proxy.instances.observe(SERIAL, ADDRESS, 3999)

    proxy.start()
    assert proxy.world.host.run(with_a_stranger).listening is False
    assert observed(proxy).listening is True


def test_a_stopped_one_keeps_its_configuration(proxy: RunningProxy) -> None:
    proxy.start()
    text = observed(proxy).configuration
    the_process().signal(signal.SIGKILL)
    proxy.instances.stop(SERIAL)
    assert observed(proxy) == ProxyState(configuration=text)


def test_a_forgotten_one_leaves_nothing(proxy: RunningProxy) -> None:
    proxy.start()
    the_process().signal(signal.SIGKILL)
    proxy.instances.forget(SERIAL)
    assert find_processes(UID) == ()
    assert [path for path in proxy.folder.rglob("*") if path.is_file()] == []
    assert proxy.instances.known() == []
    proxy.instances.forget(SERIAL)


def test_a_start_without_a_listener_fails_in_time(proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.host.proxy.instances.LISTEN_SECONDS", 0.5)
    proxy.write(listen=ip_address("192.0.2.99"))  # an address that this host does not have
    with pytest.raises(TransientError, match=r"does not listen on 192\.0\.2\.99"):
        proxy.world.host.run(proxy.instances.start, SERIAL, UID)


def test_one_that_is_slow_to_listen_is_starting_for_a_while(proxy: RunningProxy) -> None:
    proxy.write()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agent.host.proxy.instances.LISTEN_SECONDS", 0.0)
        patched.setattr("agent.host.proxy.instances.find_listeners", lambda *_: frozenset())
        with pytest.raises(TransientError, match="does not listen"):
            proxy.world.host.run(proxy.instances.start, SERIAL, UID)
        state = observed(proxy)
        assert (state.unit, state.listening, state.starting) == (UnitState.ACTIVE, False, True)
    until = time.monotonic() + 10
    while not observed(proxy).listening and time.monotonic() < until:
        time.sleep(0.05)
    state = observed(proxy)
    assert (state.listening, state.starting) == (True, False)
    assert state.loaded is not None, "what it was started with is what it has read: no reload is due"


def test_a_text_written_after_the_start_is_not_taken_for_loaded(proxy: RunningProxy) -> None:
    proxy.write()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agent.host.proxy.instances.LISTEN_SECONDS", 0.0)
        patched.setattr("agent.host.proxy.instances.find_listeners", lambda *_: frozenset())
        with pytest.raises(TransientError, match="does not listen"):
            proxy.world.host.run(proxy.instances.start, SERIAL, UID)
    proxy.write(maximum_connections=7)
    until = time.monotonic() + 10
    while not observed(proxy).listening and time.monotonic() < until:
        time.sleep(0.05)
    state = observed(proxy)
    assert (state.listening, state.loaded) == (True, None)


def test_what_never_listens_is_not_starting_for_ever(proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.host.proxy.instances.LISTEN_SECONDS", 0.0)
    monkeypatch.setattr("agent.host.proxy.instances.START_SECONDS", 0.0)
    proxy.write()
    with pytest.raises(TransientError, match="does not listen"):
        proxy.world.host.run(proxy.instances.start, SERIAL, UID)
    assert not observed(proxy).starting


def test_without_a_configuration_nothing_starts(proxy: RunningProxy) -> None:
    with pytest.raises(TransientError, match="no configuration"):
        proxy.instances.start(Serial("867698040000999"), UID)
