"""The JSON of the API about who may: operators, tokens, sessions, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, SecretStr

from agent.store.audit import AuditFilter, Outcome
from agent.store.rows import PrincipalKind, Role, Scope
from agent.web.endpoint import Body, Query
from agent.web.schemas import View

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
ID_MOST = 2**63 - 1
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=256)]
Code = Annotated[str, Field(max_length=40, description="Of the authenticator, or a recovery code.")]


class ScopeBody(Body):
    """What of the fleet somebody may see."""

    hosts: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] | None = Field(
        None, description="Hosts whose modems they see; null: all.", max_length=100
    )
    tags: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] | None = Field(
        None, description="They see devices that have one of these tags; null: all.", max_length=100
    )

    @property
    def scope(self) -> Scope:
        return Scope(hosts=self.hosts, tags=self.tags)


class ShownScope(View):
    """What of the fleet somebody may see."""

    hosts: tuple[str, ...] | None = Field(description="Hosts whose modems they see; null: all.")
    tags: tuple[str, ...] | None = Field(description="They see devices that have one of these tags; null: all.")


class Me(View):
    """Who asks."""

    name: str
    kind: PrincipalKind
    role: Role
    scope: ShownScope
    csrf_token: str = Field(description="What a change with this session's cookie must carry; empty for a token.")


class SignInBody(Body):
    """Who asks for a short-lived token; nothing when an API token in the header says so."""

    name: str = Field("", max_length=64)
    password: SecretStr = Field(SecretStr(""), max_length=256)
    code: Code = ""


class ShortToken(View):
    """A token that ends by itself."""

    token: str = Field(description="For the header Authorization: Bearer.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a word, no secret
    expires_at: datetime
    expires_in: int = Field(description="Seconds.")


class PasswordBody(Body):
    """A new password for oneself."""

    current: Password
    new: Password
    code: Code = ""


class ConfirmBody(Body):
    """One's password, once more."""

    password: Password
    code: Code = ""


class CodeBody(Body):
    """A code of the authenticator."""

    code: Code


class TotpOffer(View):
    """What an authenticator is told; it counts once a code of it was given back."""

    secret: str
    uri: str
    qr_code: str = Field(description="A data URL of an SVG picture.")


class RecoveryCodes(View):
    """Codes for when the authenticator is lost; each works once, and they are never shown again."""

    codes: tuple[str, ...]


class SessionRenewed(View):
    """The browser's session, which has a new cookie now."""

    csrf_token: str


class OperatorSession(View):
    """A browser in which an operator is signed in."""

    id: int
    operator: str
    address: str | None
    agent: str = Field(description="What the browser calls itself.")
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    current: bool = Field(False, description="Whether it is the one that asks.")


class OperatorSessions(View):
    """Browsers that are signed in."""

    sessions: tuple[OperatorSession, ...]


class Operator(View):
    """A person who may sign in."""

    name: str
    role: Role
    scope: ShownScope
    disabled: bool
    has_password: bool
    has_totp: bool
    recovery_codes: int = Field(description="How many are left.")
    sessions: int = Field(description="In how many browsers they are signed in.")
    created_at: datetime
    password_changed_at: datetime | None
    signed_in_at: datetime | None


class OperatorList(View):
    """Every operator."""

    operators: tuple[Operator, ...]


class OperatorBody(Body):
    """A new operator."""

    name: Name
    role: Role
    scope: ScopeBody = Field(default_factory=lambda: ScopeBody(hosts=None, tags=None))


class OperatorChange(Body):
    """What is to be changed; the rest stays."""

    role: Role | None = None
    scope: ScopeBody | None = None
    disabled: bool | None = None


class SetupLinkShown(View):
    """A link that sets a password, once; it is never shown again."""

    operator: str
    path: str = Field(description="Behind this server's address.")
    expires_at: datetime


class OperatorMade(View):
    """A new operator, and the link by which they set their password."""

    operator: Operator
    setup_link: SetupLinkShown


class ApiToken(View):
    """An API token, never its text."""

    name: str
    role: Role
    scope: ShownScope
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenList(View):
    """Every API token, those that are revoked too."""

    tokens: tuple[ApiToken, ...]


class TokenBody(Body):
    """A new API token."""

    name: Name
    role: Role
    scope: ScopeBody = Field(default_factory=lambda: ScopeBody(hosts=None, tags=None))
    days: int | None = Field(None, ge=1, le=3650, description="Valid for so many days; null: until revoked.")


class TokenMade(View):
    """A new API token: the only time that it is shown."""

    token: str
    name: str
    expires_at: datetime | None


class AuditQuery(Query):
    """Which rows of the audit log."""

    principal: str | None = Field(None, description="Only of this operator, token or local user.", max_length=200)
    action: str | None = Field(None, description="Only this, or all below it: `device`, `device.task`.", max_length=100)
    target: str | None = Field(None, description="Only what was done to this.", max_length=1000)
    outcome: Outcome | None = Field(None, description="Only what went so.")
    since: AwareDatetime | None = Field(None, description="Only from then on.")
    until: AwareDatetime | None = Field(None, description="Only before then.")
    text: str | None = Field(None, description="Only rows with this somewhere in them.", max_length=200)

    @property
    def wanted(self) -> AuditFilter:
        """As the store takes it; an empty field asks for nothing."""
        return AuditFilter(
            principal=self.principal or None,
            action=self.action or None,
            target=self.target or None,
            outcome=self.outcome,
            since=self.since,
            until=self.until,
            text=self.text or None,
        )


class AuditPageQuery(AuditQuery):
    """Which rows of the audit log, and how many."""

    before_id: int | None = Field(None, ge=1, le=ID_MOST, description="Only rows with a lower id.")
    limit: int = Field(100, ge=1, le=1000, description="Most rows on a page.")


class AuditExportQuery(AuditQuery):
    """Which rows of the audit log, and in which format."""

    format: Literal["csv", "jsonl"] = Field("csv", description="CSV, or one JSON object a line.")


class AuditEntry(View):
    """One change: who, from where, what, and how it went."""

    id: int
    at: datetime
    principal: str
    kind: str = Field(description="operator, token, local (a user of the command line) or nobody.")
    role: str
    address: str | None
    action: str
    target: str
    details: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    outcome: Outcome
    code: str = Field(description="Of the error, when there was one.")


class AuditPage(View):
    """Some rows of the audit log, newest first."""

    entries: tuple[AuditEntry, ...]
    next_before_id: int | None
