"""Lets modems in, tells their threads what changes, and ends them.

Three loops of its own: the bus (hot-plug), the caretaker's rounds, and the post (operators' commands). Each beats,
so that the watchdog knows that it turns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.core.clock import Deadline, now
from agent.core.errors import AgentError, DeviceError, TransientError
from agent.core.identifiers import Slot
from agent.modem.admission import Admission, AdmissionPolicy
from agent.modem.caretaker import Caretaker, HostRange
from agent.modem.machine import Conduct, Machine
from agent.modem.model import Desired, Hardware
from agent.modem.ports import CommandRequest, CommandResult, HotplugSource, Qmi
from agent.modem.registry import Registry
from agent.modem.worker import ModemWorker, Surroundings

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
CARETAKER_SECONDS = 60.0
POST_SECONDS = 15.0
QMI_PROXY_RESTART_SECONDS = 120.0
"""Least time between two restarts of qmi-proxy."""


class Inbox(Protocol):
    """Operators' commands for this host."""

    def claim(self, limit: int) -> Sequence[CommandRequest]:
        """Take waiting commands. Raises TransientError while the database is away."""


class Supervisor:
    """Owns every thread of the modem's household."""

    def __init__(
        self,
        *,
        machine: Machine,
        source: HotplugSource,
        inbox: Inbox,
        conduct: Callable[[], Conduct],
        admission: AdmissionPolicy,
        rescan_seconds: float,
        host_range: HostRange,
        beat: Callable[[str], None],
    ) -> None:
        self._machine = machine
        self._source = source
        self._inbox = inbox
        self._admission = Admission(admission)
        self._rescan_seconds = rescan_seconds
        self._beat = beat
        self._registry = Registry()
        self._workers: dict[Slot, ModemWorker] = {}
        self._workers_lock = threading.Lock()
        self._present: frozenset[Slot] = frozenset()
        self._bus_seen = False
        self._restart_lock = threading.Lock()
        self._restarted_at = float("-inf")
        self._stopping = threading.Event()
        self._tidy = threading.Event()
        self._mail = threading.Event()
        self._surroundings = Surroundings(
            machine=machine,
            registry=self._registry,
            conduct=conduct,
            occupied=lambda slot: slot in self._present,
            beat=beat,
            restart_qmi_proxy=self._restart_qmi_proxy,
        )
        self._caretaker = Caretaker(
            machine=machine,
            conduct=conduct,
            host_range=host_range,
            present=self._registry.present,
            is_away=self._is_away,
        )
        self._threads = [
            threading.Thread(target=self._watch_bus, name="bus", daemon=True),
            threading.Thread(target=self._care, name="caretaker", daemon=True),
            threading.Thread(target=self._deliver, name="post", daemon=True),
        ]

    @property
    def loops(self) -> tuple[str, ...]:
        """Names under which the supervisor's own loops beat."""
        return tuple(thread.name for thread in self._threads)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all threads. Nothing is torn down: links, rules and proxies stay as they are."""
        self._stopping.set()
        self._tidy.set()
        self._mail.set()
        self._source.wake()
        workers = self._all_workers()
        for worker in workers:
            worker.stop()
        deadline = Deadline.after(STOP_SECONDS)
        for worker in workers:
            if not worker.join(deadline):
                logger.warning("modem thread did not end in time", extra={"MODEM": worker.serial or worker.slot})
        for thread in self._threads:
            thread.join(deadline.remaining_seconds)
        self._source.close()

    def wishes_changed(self) -> None:
        """Something else may be wanted of any modem: look at all of them."""
        self._tidy.set()
        for worker in self._all_workers():
            worker.wake()

    def commands_waiting(self) -> None:
        """An operator has asked for something."""
        self._mail.set()

    def summary(self) -> tuple[int, int]:
        """(modems that are there, modems that have said who they are)"""
        workers = self._all_workers()
        return len(workers), sum(1 for worker in workers if worker.serial is not None)

    def _all_workers(self) -> list[ModemWorker]:
        with self._workers_lock:
            return list(self._workers.values())

    def _restart_qmi_proxy(self, qmi: Qmi) -> None:
        with self._restart_lock:
            if now() - self._restarted_at < QMI_PROXY_RESTART_SECONDS:
                return
            self._restarted_at = now()
        logger.warning("restarting qmi-proxy: a modem's control channel hangs up over and over")
        qmi.restart_proxy(Deadline.after(STOP_SECONDS))

    # -- the bus -----------------------------------------------------------------------------------------------------

    def _watch_bus(self) -> None:
        wait_seconds = 0.0
        while not self._stopping.is_set():
            self._beat("bus")
            if wait_seconds > 0:
                self._source.wait(wait_seconds)
            if self._stopping.is_set():
                return
            try:
                wait_seconds = self._look_at_bus()
            except (TransientError, OSError):
                logger.exception("the USB bus could not be read")
                wait_seconds = self._rescan_seconds

    def _look_at_bus(self) -> float:
        found = self._source.scan()
        self._present = frozenset(hardware.slot for hardware in found)
        if not self._bus_seen:
            self._bus_seen = True
            self._tidy.set()
        changes = self._admission.update(found, now())
        for slot in changes.gone:
            self._see_off(slot)
        for hardware in changes.changed:
            with self._workers_lock:
                worker = self._workers.get(hardware.slot)
            if worker is not None:
                worker.replace_hardware(hardware)
        for hardware in changes.admitted:
            self._welcome(hardware)
        if changes.next_due is None:
            return self._rescan_seconds
        return max(0.01, min(self._rescan_seconds, changes.next_due - now()))

    def _welcome(self, hardware: Hardware) -> None:
        logger.info("modem admitted", extra={"SLOT": hardware.slot, "USB_ID": hardware.usb_id})
        worker = ModemWorker(hardware, self._surroundings)
        with self._workers_lock:
            self._workers[hardware.slot] = worker
        worker.start()

    def _see_off(self, slot: Slot) -> None:
        logger.info("modem is gone", extra={"SLOT": slot})
        with self._workers_lock:
            worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.replace_hardware(None)

    # -- the caretaker -----------------------------------------------------------------------------------------------

    def _care(self) -> None:
        while not self._stopping.is_set():
            self._beat("caretaker")
            self._tidy.clear()
            try:
                self._caretaker.tidy_up()
            except (TransientError, DeviceError) as error:
                logger.warning("tidying up was cut off", extra={"ERROR": str(error)})
            except AgentError:
                logger.exception("tidying up failed")
            self._tidy.wait(CARETAKER_SECONDS)

    def _is_away(self, desired: Desired) -> bool:
        return self._bus_seen and self._machine.wishes.home_slot(desired.serial) not in self._present

    # -- the post ----------------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        while not self._stopping.is_set():
            self._beat("post")
            self._mail.wait(POST_SECONDS)
            self._mail.clear()
            try:
                while not self._stopping.is_set() and (requests := self._inbox.claim(50)):
                    for request in requests:
                        self._hand_over(request)
            except TransientError as error:
                logger.debug("commands cannot be fetched", extra={"ERROR": str(error)})

    def _hand_over(self, request: CommandRequest) -> None:
        worker = next((each for each in self._all_workers() if each.serial == request.serial), None)
        if worker is None:
            self._refuse(request, "modem_absent", "the modem is not plugged in")
        elif not worker.submit(request):
            self._refuse(request, "busy", "the modem has too many commands waiting, or has just left")

    def _refuse(self, request: CommandRequest, code: str, message: str) -> None:
        self._machine.recorder.finish(
            CommandResult(id=request.id, succeeded=False, result={}, error_code=code, error_message=message)
        )
