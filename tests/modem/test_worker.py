"""A modem's own thread, beside stand-ins for the machine and the store that hold state and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.core.identifiers import Serial, Slot
from agent.modem.at.responses import AtResponse
from agent.modem.machine import Conduct, Machine, Timing
from agent.modem.model import DataSession, Desired, ModemState
from agent.modem.ports import CommandRequest, CommandResult, LogEntry, ModemReport
from agent.modem.registry import Registry
from agent.modem.worker import ModemWorker, Surroundings
from tests.modem.world import SERIAL, hardware

ANSWERS = {"AT+CGSN": (SERIAL,), "ATI": ("Quectel", "EC25", "Revision: X"), "AT+CPIN?": ("+CPIN: READY",)}
WAIT_SECONDS = 10.0


class Port:
    """An AT port that says OK to everything, and more where it is asked something."""

    echo_seen = False

    def command(self, text: str, deadline: Deadline) -> AtResponse:
        del deadline
        return AtResponse(command=text, lines=ANSWERS.get(text, ()), final="OK")

    def close(self) -> None: ...


class Ports:
    def open(self, node: str, deadline: Deadline, on_urc: Callable[[str], None]) -> Port:
        del node, deadline, on_urc
        return Port()

    def forget(self, node: str) -> None: ...


class HungUpQmi:
    """A control channel that hangs up at every call."""

    calls = 0

    def connected(self, node: str, session: DataSession, deadline: Deadline) -> bool:
        del node, session, deadline
        self.calls += 1
        raise TransientError("endpoint hangup")

    def hangups_in_a_row(self, node: str) -> int:
        del node
        return self.calls


@dataclass
class Store:
    """Recorder and wishes at once."""

    reports: list[ModemReport] = field(default_factory=list)
    results: list[CommandResult] = field(default_factory=list)
    reported: threading.Event = field(default_factory=threading.Event)
    complete: bool = True

    def log(self, entry: LogEntry) -> None: ...

    def report(self, report: ModemReport) -> None:
        self.reports.append(report)
        self.reported.set()

    def finish(self, result: CommandResult) -> None:
        self.results.append(result)

    def desired(self, serial: Serial) -> Desired:
        return Desired(serial=serial)

    def register(self, serial: Serial, slot: Slot, imei: str | None) -> Desired:
        del slot, imei
        return Desired(serial=serial)

    def known(self) -> tuple[Desired, ...]:
        return ()

    def home_slot(self, serial: Serial) -> None:
        del serial


class Sessions:
    def fetch(self, serial: Serial) -> DataSession:
        del serial
        return DataSession(client_id=1, packet_data_handle=2)

    def save(self, serial: Serial, session: DataSession | None) -> None: ...


class Nothing:
    """Links that are not there, and links in /dev that nobody looks at."""

    def observe(self, *_: object) -> None: ...

    def make(self, *_: object) -> None: ...

    def remove(self, *_: object) -> None: ...


@dataclass
class Bed:
    """A worker and what it did."""

    store: Store = field(default_factory=Store)
    qmi: HungUpQmi = field(default_factory=HungUpQmi)
    restarts: threading.Event = field(default_factory=threading.Event)
    registry: Registry = field(default_factory=Registry)

    def worker(self) -> ModemWorker:
        parts: dict[str, Any] = dict.fromkeys(
            ("routing", "proxies", "renderer", "prober", "usb", "pins"), cast(Any, Nothing())
        )
        machine = Machine(
            **parts,
            at_ports=cast(Any, Ports()),
            qmi_for=lambda _: cast(Any, self.qmi),
            links=cast(Any, Nothing()),
            device_links=cast(Any, Nothing()),
            sessions=cast(Any, Sessions()),
            recorder=self.store,
            wishes=cast(Any, self.store),
        )
        return ModemWorker(
            hardware(),
            Surroundings(
                machine=machine,
                registry=self.registry,
                conduct=lambda: Conduct(timing=Timing(look_seconds=0.05, unwell_look_seconds=0.05)),
                occupied=lambda _: True,
                beat=lambda _: None,
                restart_qmi_proxy=lambda _: self.restarts.set(),
            ),
        )


@pytest.fixture
def bed() -> Iterator[tuple[Bed, ModemWorker]]:
    made = Bed()
    worker = made.worker()
    worker.start()
    yield made, worker
    worker.stop()
    assert worker.join(Deadline.after(WAIT_SECONDS))


def test_a_control_channel_that_hangs_up_over_and_over_has_its_multiplexer_restarted(
    bed: tuple[Bed, ModemWorker],
) -> None:
    made, _ = bed
    assert made.restarts.wait(WAIT_SECONDS)
    assert made.qmi.calls >= 3
    assert made.store.reports[-1].state is ModemState.DEGRADED
    assert made.store.reports[-1].reason == "the QMI port does not answer"


def test_a_modem_that_is_gone_gets_one_last_report_and_gives_its_name_up(bed: tuple[Bed, ModemWorker]) -> None:
    made, worker = bed
    assert made.store.reported.wait(WAIT_SECONDS)
    worker.replace_hardware(None)
    assert worker.join(Deadline.after(WAIT_SECONDS))
    assert made.store.reports[-1].state is ModemState.OFFLINE
    assert made.registry.present() == frozenset()


def test_a_command_that_was_taken_is_answered_although_the_modem_leaves(bed: tuple[Bed, ModemWorker]) -> None:
    made, worker = bed
    assert made.store.reported.wait(WAIT_SECONDS)
    worker.replace_hardware(None)
    request = CommandRequest(id=7, serial=SERIAL, kind="plan", argument={}, deadline=Deadline.after(WAIT_SECONDS))
    taken = worker.submit(request)
    assert worker.join(Deadline.after(WAIT_SECONDS))
    assert [result.id for result in made.store.results] == ([7] if taken else [])
    assert not worker.submit(request)


def test_too_many_commands_are_refused_and_not_kept() -> None:
    worker = Bed().worker()
    request = CommandRequest(id=1, serial=SERIAL, kind="plan", argument={}, deadline=Deadline.after(WAIT_SECONDS))
    taken = [worker.submit(request) for _ in range(40)]
    assert taken.index(False) == 16
    assert not any(taken[16:])
