"""The JSON of the API about alerts, their rules, and whom to tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from agent.acs.connection_request.policy import Forbidden, parse_url
from agent.alert.model import AlertState, Event, RuleKind, Severity, SubjectKind
from agent.core.settings.schema import MAIL_ADDRESS
from agent.store.alert_rows import DeliveryState, TargetKind
from agent.web.endpoint import Body, Query
from agent.web.schemas import View

ID_MOST = 2**63 - 1
PLAIN = r"^[^\x00-\x1f\x7f]+$"
TEST_WAIT_MOST = 20.0


class AlertView(View):
    """Something that a rule has found."""

    id: int
    rule_id: int | None = Field(description="null: the rule was deleted.")
    rule: str
    kind: RuleKind
    severity: Severity
    subject_kind: SubjectKind
    subject: str = Field(description="Serial, host, device id; of the fleet, what of it.")
    host: str | None
    state: AlertState = Field(description="pending: not for long enough yet; nobody is told.")
    summary: str = Field(description="What is wrong, for people.")
    value: float | None
    since: datetime = Field(description="When it was first seen.")
    opened_at: datetime | None
    closed_at: datetime | None
    notified_at: datetime | None = Field(description="When people were last told.")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledgement: str | None
    silenced: bool = Field(description="Whether a silence keeps it quiet now.")


class AlertPage(View):
    """Alerts, newest first."""

    alerts: tuple[AlertView, ...]
    next_before_id: int | None = Field(description="Value of `before_id` for older ones; null when none are left.")


class OpenAlerts(View):
    """Open alerts of one severity."""

    severity: Severity
    alerts: int
    acknowledged: int


class AlertCounts(View):
    """Open alerts in numbers, the worst first."""

    open: tuple[OpenAlerts, ...]


class AlertQuery(Query):
    """Which alerts."""

    state: tuple[AlertState, ...] = Field(
        (), description="Only these; may be given several times. Open ones when it is left out."
    )
    severity: tuple[Severity, ...] = Field((), description="Only these; may be given several times.")
    kind: RuleKind | None = Field(None, description="Only of rules of this kind.")
    subject: str | None = Field(None, description="Only about this modem, device or host.", max_length=1000)
    before_id: int | None = Field(None, ge=1, le=ID_MOST, description="Only alerts with a lower id.")
    limit: int = Field(100, ge=1, le=1000, description="Most alerts on a page.")


class NoteBody(Body):
    """What there is to say."""

    note: str = Field("", max_length=1000)


class QuietBody(Body):
    """For how long nobody is told, and why."""

    minutes: int = Field(ge=1, le=43_200)
    reason: str = Field("", max_length=1000)


class SilenceBody(QuietBody):
    """What is to be quiet: a rule, or everything."""

    rule_id: int | None = Field(None, ge=1, le=ID_MOST, description="null: every rule.")


class Silence(View):
    """Nobody is told while it lasts."""

    id: int
    rule_id: int | None = Field(description="null: every rule.")
    rule: str | None
    subject_kind: SubjectKind | None
    subject: str | None = Field(description="null: every modem, device and host.")
    until: datetime
    reason: str
    created_by: str
    created_at: datetime


class SilenceList(View):
    """Silences in force, the one that ends next first."""

    silences: tuple[Silence, ...]


class RuleBody(Body):
    """A rule."""

    name: str = Field(min_length=1, max_length=100, pattern=PLAIN)
    kind: RuleKind
    severity: Severity
    parameters: dict[str, Annotated[float, Field(allow_inf_nan=False)] | None] = Field(
        default_factory=dict, max_length=20, description="See /alert-rules/kinds; what is left out gets its default."
    )
    duration_seconds: int = Field(0, ge=0, le=604_800, description="How long it must be seen before the alert opens.")
    clear_seconds: int = Field(60, ge=0, le=86_400, description="How long it must be gone before the alert closes.")
    repeat_seconds: int = Field(
        0, ge=0, le=2_592_000, description="After which people are reminded, a minute at least; 0: never."
    )
    enabled: bool = True
    hosts: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] | None = Field(
        None, max_length=100, description="Only modems and hosts of these names; null: all."
    )
    tags: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] | None = Field(
        None, max_length=100, description="Only devices with one of these tags; null: all."
    )
    targets: tuple[Annotated[int, Field(ge=1, le=ID_MOST)], ...] | None = Field(
        None, max_length=100, description="Who is told, by id; null: every target that takes the severity."
    )

    @field_validator("repeat_seconds")
    @classmethod
    def _not_too_often(cls, value: int) -> int:
        if 0 < value < 60:  # a minute
            raise ValueError("0, or at least 60")
        return value


class RuleView(View):
    """A rule."""

    id: int
    name: str
    kind: RuleKind
    parameters: Mapping[str, float | None]
    duration_seconds: int
    clear_seconds: int
    repeat_seconds: int
    severity: Severity
    enabled: bool
    hosts: tuple[str, ...] | None
    tags: tuple[str, ...] | None
    targets: tuple[int, ...] | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    open_alerts: int


class RuleList(View):
    """Every rule, by name."""

    rules: tuple[RuleView, ...]


class ParameterView(View):
    """A number that rules of a kind can be told."""

    name: str
    title: str
    default: float | None
    least: float
    most: float
    unit: str
    text: str
    optional: bool = Field(description="Whether it may be null: then it is not looked at.")


class KindView(View):
    """A kind of rules."""

    kind: RuleKind
    parameters: tuple[ParameterView, ...]


class KindList(View):
    """Every kind of rules, and what they can be told."""

    kinds: tuple[KindView, ...]


def _is_mail_address(value: str) -> str:
    if not re.fullmatch(MAIL_ADDRESS, value):
        raise ValueError("not an e-mail address")
    return value


class WebhookBody(Body):
    """Where a POST goes."""

    url: str = Field(min_length=1, max_length=1024)
    secret: SecretStr | None = Field(
        None, min_length=16, max_length=200, description="What it is signed with; null: as before, or a new one."
    )

    @field_validator("url")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        try:
            parse_url(value, "it")
        except Forbidden as error:
            raise ValueError(str(error)) from error
        return value


class EmailBody(Body):
    """Who gets a mail."""

    to: tuple[Annotated[str, Field(max_length=320), AfterValidator(_is_mail_address)], ...] = Field(
        min_length=1, max_length=50
    )


class SyslogBody(Body):
    """Where a line of syslog goes."""

    transport: Literal["local", "udp", "tcp"] = "local"
    host: str = Field("", max_length=253, pattern=r"^[A-Za-z0-9.:_-]*$", description="Name or address; not for local.")
    tcp_port: int = Field(514, ge=1, le=65_535, description="Of UDP, too.")
    facility: int = Field(16, ge=0, le=23, description="RFC 5424 §6.2.1; 16 is local0.")

    @model_validator(mode="after")
    def _has_a_host(self) -> SyslogBody:
        if (self.transport == "local") != (not self.host):
            raise ValueError("udp and tcp take a host, local takes none")
        return self


class TargetBody(Body):
    """Somebody who is told: exactly one of `webhook`, `email` and `syslog`."""

    name: str = Field(min_length=1, max_length=64, pattern=PLAIN)
    webhook: WebhookBody | None = None
    email: EmailBody | None = None
    syslog: SyslogBody | None = None
    least_severity: Severity = Field(Severity.INFO, description="Of what is less bad nobody is told.")
    enabled: bool = True

    @model_validator(mode="after")
    def _one_way(self) -> TargetBody:
        if sum(each is not None for each in (self.webhook, self.email, self.syslog)) != 1:
            raise ValueError("give exactly one of webhook, email and syslog")
        return self

    @property
    def kind(self) -> TargetKind:
        if self.webhook is not None:
            return TargetKind.WEBHOOK
        return TargetKind.EMAIL if self.email is not None else TargetKind.SYSLOG

    @property
    def settings(self) -> dict[str, Any]:
        """As `alert_targets` keeps them: without the secret, which has a column of its own."""
        way = self.webhook or self.email or self.syslog
        return way.model_dump(mode="json", exclude={"secret"}) if way is not None else {}

    @property
    def secret(self) -> str | None:
        given = self.webhook.secret if self.webhook is not None else None
        return None if given is None else given.get_secret_value()


class TargetView(View):
    """Somebody who is told."""

    id: int
    name: str
    kind: TargetKind
    settings: Mapping[str, Any] = Field(
        description="webhook: url; email: to; syslog: transport, host, tcp_port, facility."
    )
    least_severity: Severity
    enabled: bool
    created_by: str
    created_at: datetime
    updated_at: datetime
    waiting: int = Field(description="Messages that were not delivered yet.")
    last_at: datetime | None = Field(description="When the last one was, or was given up.")
    last_state: DeliveryState | None
    last_reason: str | None


class TargetList(View):
    """Every target, by name."""

    targets: tuple[TargetView, ...]


class TargetMade(View):
    """A new target."""

    target: TargetView
    secret: str | None = Field(description="What its webhook is signed with. It is never shown again.")


class Delivery(View):
    """One message for one target."""

    id: int
    alert_id: int | None = Field(description="null: a test.")
    event: Event
    state: DeliveryState
    attempts: int
    reason: str = Field(description="Why it failed, for people.")
    created_at: datetime
    finished_at: datetime | None


class DeliveryPage(View):
    """Messages for one target, newest first."""

    deliveries: tuple[Delivery, ...]
    next_before_id: int | None = Field(description="Value of `before_id` for older ones; null when none are left.")


class DeliveryQuery(Query):
    """Which messages."""

    before_id: int | None = Field(None, ge=1, le=ID_MOST, description="Only messages with a lower id.")
    limit: int = Field(50, ge=1, le=1000, description="Most messages on a page.")


class TestQuery(Query):
    """How long to wait for the outcome."""

    __test__ = False  # not one of pytest's

    wait: float = Field(
        10.0, ge=0, le=TEST_WAIT_MOST, allow_inf_nan=False, description="Seconds to wait for the outcome."
    )
