"""Looks after what no modem's own thread looks after: modems that are away, and what modems long gone have left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.core.clock import now
from agent.core.errors import DeviceError, TransientError
from agent.core.identifiers import Serial
from agent.modem.executor import Bench, Executor
from agent.modem.health import Health
from agent.modem.machine import Conduct, Machine
from agent.modem.model import Desired
from agent.modem.observer import Observer
from agent.modem.planner import Intent, plan
from agent.modem.reporting import Reporter, describe

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRange:
    """The uids and tables that may be given to modems: what is in them and nobody's is purged."""

    uids: range
    tables: range


@dataclass(slots=True, kw_only=True)
class Caretaker:
    """For one thread."""

    machine: Machine
    conduct: Callable[[], Conduct]
    host_range: HostRange
    present: Callable[[], frozenset[Serial]]
    """Modems that have a thread of their own."""
    is_away: Callable[[Desired], bool]
    """Whether a modem is not on the bus: one that only waits for its admission is not away."""
    _reporters: dict[Serial, Reporter] = field(default_factory=dict)

    def tidy_up(self) -> None:
        """One round. Raises TransientError or DeviceError when the machine itself cannot be read or changed; one
        modem's trouble is logged and holds up no other."""
        machine = self.machine
        if machine.routing.ensure_host_rules():
            logger.info("the host's routing rules were put in place")
        known = machine.wishes.known()
        machine.device_links.keep_only(self.present())
        if machine.wishes.complete:
            self._purge(known)
        for desired in known:
            if desired.serial in self.present() or not self.is_away(desired):
                continue
            try:
                self._look_after(desired)
            except (TransientError, DeviceError) as error:
                logger.warning("absent modem not tidied up", extra={"MODEM": desired.serial, "ERROR": str(error)})

    def _purge(self, known: tuple[Desired, ...]) -> None:
        wanted = {desired.serial for desired in known}
        for serial in self.machine.proxies.known():
            if serial not in wanted:
                # Before its rule goes: without one it would leave by the host's uplink.
                logger.warning("purging a proxy that belongs to no modem", extra={"MODEM": serial})
                self.machine.proxies.forget(serial)
        keep = [desired.allocation for desired in known if desired.allocation is not None]
        for rule in self.machine.routing.purge(keep, self.host_range.uids, self.host_range.tables):
            logger.warning("purged a stale rule", extra={"UID": rule.uid, "TABLE": rule.table})

    def _look_after(self, desired: Desired) -> None:
        """One pass for a modem that is not there: its rules stand, so its proxy stays closed."""
        conduct, machine = self.conduct(), self.machine
        qmi = machine.qmi_for(lambda *_: None)
        observed = Observer(machine, qmi, conduct.timing).observe(desired, None, None, probe=False)
        intent = Intent(desired=desired, proxy_text=observed.proxy.configuration, health=conduct.health)
        decided = plan(observed, intent, Health(), now())
        executor = Executor(machine, qmi, conduct.timing)
        reporter = self._reporters.setdefault(desired.serial, Reporter(machine.recorder))
        for action in decided.actions:
            executor.execute(action, Bench(desired=desired, hardware=None, at=None))
            logger.info("action done", extra={"MODEM": desired.serial, "ACTION": describe(action)})
            reporter.action(desired.serial, action, None)
        if desired.serial not in self.present():
            reporter.report(desired, observed, decided, None, sample=False)
