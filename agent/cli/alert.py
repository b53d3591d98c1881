"""`lastmile alert …`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.accounting import accounting
from agent.cli.context import as_json, load_settings, local_admin, local_principal, open_database
from agent.cli.exits import NotFoundError
from agent.core.clock import Deadline, wall

if TYPE_CHECKING:
    from agent.store.alert_rows import AlertRow, TargetRow
    from agent.store.alert_rules import AlertRules
    from agent.store.alert_targets import AlertTargets
    from agent.store.alerts import Alerts
    from agent.store.audit import AuditTrail


class _Opened:
    """What a command about alerts works with."""

    def __init__(self, alerts: Alerts, rules: AlertRules, targets: AlertTargets, trail: AuditTrail) -> None:
        self.alerts = alerts
        self.rules = rules
        self.targets = targets
        self.trail = trail

    def find(self, alert_id: int) -> AlertRow:
        """Raises NotFoundError."""
        row = self.alerts.fetch(alert_id)
        if row is None:
            raise NotFoundError(f"there is no alert {alert_id}; `lastmile alert list` lists them")
        return row

    def find_target(self, name: str) -> TargetRow:
        """Raises NotFoundError."""
        for row in self.targets.list():
            if name in (row.name, str(row.id)):
                return row
        raise NotFoundError(f"there is no target {name!r}; `lastmile alert targets` lists them")


@contextmanager
def _open(config: Path | None) -> Iterator[_Opened]:
    from agent.store.alert_rules import AlertRules
    from agent.store.alert_targets import AlertTargets
    from agent.store.alerts import Alerts

    with open_database(load_settings(config), "alert") as database:
        targets = AlertTargets(database)
        try:
            with accounting(database) as trail:
                yield _Opened(Alerts(database), AlertRules(database), targets, trail)
        finally:
            targets.close()


@click.group("alert")
def command() -> None:
    """What is wrong, who looks after it, and who is told."""


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over, and those that are not open yet.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Most alerts.")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(config: Path | None, everything: bool, limit: int, as_json_: bool) -> None:
    """Open alerts, the newest first."""
    from agent.store.alerts import AlertFilter

    with _open(config) as opened:
        rows = opened.alerts.fetch_page(AlertFilter(states=None) if everything else None, limit=limit)
    if as_json_:
        click.echo(as_json(rows))
        return
    if not rows:
        click.echo("There is no alert." if everything else "There is no open alert.")
    for row in rows:
        notes = [
            "" if row.state.value == "open" else row.state.value,
            f"{row.acknowledged_by} looks after it" if row.acknowledged_by and row.state.value == "open" else "",
            "silenced" if row.silenced else "",
        ]
        note = "; ".join(each for each in notes if each)
        since = row.opened_at or row.since
        click.echo(
            f"{row.id:>6} {row.severity.value:<8} {since:%Y-%m-%d %H:%M} {row.summary}{f' ({note})' if note else ''}"
        )


@command.command("ack")
@click.argument("alert_id", type=click.IntRange(1))
@click.option("--note", default="", help="What there is to say.")
@click.option("--undo", is_flag=True, help="Nobody looks after it any more.")
@click.pass_obj
def ack(config: Path | None, alert_id: int, note: str, undo: bool) -> None:
    """Say that you look after an alert: nobody is reminded of it any more."""
    with _open(config) as opened:
        row = opened.find(alert_id)
        action = "alert.unacknowledge" if undo else "alert.acknowledge"
        opened.trail.write(local_admin(), action, row.subject, {"alert": row.id, "rule": row.rule})
        changed = (
            opened.alerts.withdraw_acknowledgement(row.id)
            if undo
            else opened.alerts.acknowledge(row.id, local_principal(), note)
        )
        if changed is None:
            raise NotFoundError(f"alert {alert_id} is not open (any more)")
    click.echo(f"Nobody looks after alert {alert_id}." if undo else f"You look after alert {alert_id}.")


@command.command("silence")
@click.argument("alert_id", type=click.IntRange(1), required=False)
@click.option("--rule", "rule_name", help="Silence a whole rule, by its name.")
@click.option("--everything", is_flag=True, help="Silence all alerts.")
@click.option("--minutes", type=click.IntRange(1, 43_200), default=60, show_default=True, help="For how long.")
@click.option("--reason", default="", help="Why.")
@click.pass_obj
def silence(
    config: Path | None, alert_id: int | None, rule_name: str | None, everything: bool, minutes: int, reason: str
) -> None:
    """Tell nobody for a while of what an alert is about, of a rule, or of anything. Alerts show on the page all the
    same."""
    from agent.alert.model import Subject

    if sum((alert_id is not None, rule_name is not None, everything)) != 1:
        raise click.UsageError("name an alert, or give one of --rule and --everything")
    until = wall() + timedelta(minutes=minutes)
    with _open(config) as opened:
        rule_id, subject, what = None, None, "everything"
        if alert_id is not None:
            row = opened.find(alert_id)
            rule_id, what = row.rule_id, row.summary
            subject = Subject(kind=row.subject_kind, name=row.subject, host=row.host)
        elif rule_name is not None:
            found = next((each for each in opened.rules.list() if each.name == rule_name), None)
            if found is None:
                raise NotFoundError(f"there is no rule {rule_name!r}; `lastmile alert rules` lists them")
            rule_id, what = found.id, f"rule {found.name}"
        details = {"rule": rule_id, "minutes": minutes}
        opened.trail.write(local_admin(), "alert.silence", subject.name if subject else "", details)
        opened.alerts.silence(rule_id=rule_id, subject=subject, until=until, reason=reason, by=local_principal())
    click.echo(f"Silenced until {until:%Y-%m-%d %H:%M} UTC: {what}")


@command.command("rules")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def rules(config: Path | None, as_json_: bool) -> None:
    """Every rule: what it looks at, and how many of its alerts are open."""
    with _open(config) as opened:
        rows = opened.rules.list()
    if as_json_:
        click.echo(as_json(rows))
        return
    for row in rows:
        limits = ", ".join(f"{name} {value:g}" for name, value in row.parameters.items() if value is not None)
        state = f"{row.open_alerts} open" if row.enabled else "off"
        click.echo(
            f"{row.name:<40} {row.severity.value:<8} {state:<8} {row.kind.value}{f' ({limits})' if limits else ''}"
        )


@command.command("targets")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON; without secrets.")
@click.pass_obj
def targets(config: Path | None, as_json_: bool) -> None:
    """Who is told, and how the last message went."""
    from dataclasses import replace

    with _open(config) as opened:
        rows = opened.targets.list()
    if as_json_:
        click.echo(as_json([replace(row, secret=None) for row in rows]))
        return
    if not rows:
        click.echo("Nobody is told: alerts show on the page only. POST /api/alert-targets adds somebody.")
    for row in rows:
        last = f"{row.last_state.value} {row.last_reason or ''}".strip() if row.last_state else "never told"
        state = "" if row.enabled else "off; "
        click.echo(f"{row.name:<24} {row.kind.value:<8} {state}{row.least_severity.value} and worse; last: {last}")


@command.command("test")
@click.argument("target")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(1, 120),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the worker.",
)
@click.pass_obj
def test(config: Path | None, target: str, timeout_seconds: float) -> None:
    """Have the worker send a test to a target, and say how it went."""
    from agent.core.errors import DeadlineExceeded, DeviceError
    from agent.store.alert_rows import DeliveryState

    with _open(config) as opened:
        row = opened.find_target(target)
        opened.trail.write(local_admin(), "alert_target.test", row.name)
        delivery_id = opened.targets.add_test(row.id, local_principal())
        delivery = opened.targets.await_delivery(delivery_id, Deadline.after(timeout_seconds))
    if delivery is None:
        raise NotFoundError(f"target {target!r} is gone")
    if delivery.state is DeliveryState.SENT:
        click.echo(f"{row.name} was told{f' ({delivery.reason})' if delivery.reason else ''}.")
        return
    if delivery.reason:
        raise DeviceError(f"{row.name} was not told: {delivery.reason}")
    raise DeadlineExceeded("the worker has not tried it in time; is lastmile-worker running?")
