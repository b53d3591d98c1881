"""Looks whether anything is wrong, and decides who is told; the deciding itself is agent.alert.planner's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from agent.alert import conditions
from agent.alert.facts import HostFacts, ModemFacts
from agent.alert.model import Rule, RuleKind, Seen, Subject
from agent.alert.planner import Situation, plan
from agent.core.clock import Deadline, wall
from agent.core.errors import TransientError
from agent.store.alert_facts import AlertFacts
from agent.store.alert_turns import AlertTurns, Turn
from agent.store.alerts import Alerts
from agent.worker.outage import Outage

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
SLOW_SECONDS = 30.0
"""Between two looks at what takes the database longer."""
SLOW_KINDS = frozenset(
    {RuleKind.DEVICE_NOT_SEEN, RuleKind.FAULT_RATE, RuleKind.QUEUE_DEPTH, RuleKind.DATABASE, RuleKind.ENDPOINT_BUDGET}
)
RETIRE_SECONDS = 6 * 3600.0


class Watcher:
    """Runs in a thread of its own until `stop`; any number of workers may have one, they take turns."""

    def __init__(
        self,
        turns: AlertTurns,
        alerts: Alerts,
        outage: Outage,
        beat: Callable[[], None],
        *,
        keep_days: int,
        pause_seconds: float = PAUSE_SECONDS,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self._turns = turns
        self._alerts = alerts
        self._outage = outage
        self._beat = beat
        self._keep_days = keep_days
        self._pause_seconds = pause_seconds
        self._slow_seconds = slow_seconds
        self._slow = Deadline.after(0)
        self._retire = Deadline.after(0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        away = False
        while not self._stopping.is_set():
            self._beat()
            try:
                self.turn()
                away = False
                if self._retire.passed:
                    self._retire = Deadline.after(RETIRE_SECONDS)
                    self._alerts.retire(self._keep_days)
            except TransientError as exc:
                if not away:
                    logger.warning("alerts must wait", extra={"REASON": str(exc)})
                away = True
                self._outage.away(wall(), str(exc))
            self._stopping.wait(self._pause_seconds)

    def turn(self) -> bool:
        """Look, decide, and write down what was decided; False while another worker is at it. Raises TransientError."""
        with self._turns.take() as turn:
            if turn is None:
                return False
            slow = self._slow.passed
            rules = [rule for rule in turn.rules if rule.enabled and (slow or rule.kind not in SLOW_KINDS)]
            seen = _Sight(turn).look(rules)
            situation = Situation(rules=turn.rules, seen=seen, alerts=turn.alerts, silences=turn.silences)
            actions = plan(situation, turn.at)
            self._outage.back(turn)
            deliveries = turn.carry_out(actions)
        self._outage.over()
        if slow:
            self._slow = Deadline.after(self._slow_seconds)
        if actions:
            logger.info("alerts changed", extra={"ACTIONS": len(actions), "MESSAGES": deliveries})
        return True


class _Sight:
    """What rules see in one turn; facts that several need are read once."""

    def __init__(self, turn: Turn) -> None:
        self._at: datetime = turn.at
        self._facts: AlertFacts = turn.facts
        self._alerts = turn.alerts
        self._modems: Sequence[ModemFacts] | None = None
        self._hosts: Sequence[HostFacts] | None = None

    def look(self, rules: Sequence[Rule]) -> dict[int, Seen]:
        return {rule.id: self._see(rule) for rule in rules}

    def _see(self, rule: Rule) -> Seen:
        facts = self._facts
        match rule.kind:
            case RuleKind.HOST_SILENT:
                if self._hosts is None:
                    self._hosts = facts.fetch_hosts()
                return conditions.see_hosts(rule, self._hosts, self._at)
            case RuleKind.ENDPOINT_BUDGET:
                return conditions.see_controllers(rule, self._all_modems())
            case RuleKind.DEVICE_NOT_SEEN:
                overdue, total = facts.fetch_overdue(rule)
                return conditions.see_devices(overdue, total, self._known(rule))
            case RuleKind.FAULT_RATE:
                return conditions.see_faults(rule, facts.count_new_faults(rule))
            case RuleKind.QUEUE_DEPTH:
                return conditions.see_queue(rule, facts.count_due_tasks(rule))
            case RuleKind.DATABASE:
                return conditions.see_database(rule, facts.fetch_database())
            case _:
                return conditions.see_modems(rule, self._all_modems(), self._known(rule), self._at)

    def _all_modems(self) -> Sequence[ModemFacts]:
        if self._modems is None:
            self._modems = self._facts.fetch_modems()
        return self._modems

    def _known(self, rule: Rule) -> frozenset[Subject]:
        return frozenset(alert.subject for alert in self._alerts if alert.rule_id == rule.id)
