"""The stand-in's configuration and what it lets through, decided as 3proxy decides it. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from agent.core.errors import ConfigError
from agent.host.proxy.directives import (
    AccessRule,
    Address,
    Auth,
    AuthType,
    Directive,
    LogFormat,
    MaximumConnections,
    Nameserver,
    Operation,
    PasswordKind,
    Service,
    Timeouts,
    User,
    Verdict,
)

_Kind = TypeVar("_Kind", bound=Directive)


class Outcome(Enum):
    """What becomes of a request; the value is 3proxy's error number."""

    GRANTED = 0
    DENIED = 1
    NOT_ALLOWED = 3
    """No rule matched: 3proxy asks for a login."""
    LOGIN_WANTED = 4
    LOGIN_WRONG = 5

    @property
    def http_status(self) -> int:
        return 403 if self is Outcome.DENIED else 407


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. `target` is None where none is known yet (a UDP association): rules by target do not count then."""

    client: Address
    operation: Operation
    target: Address | None
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Configuration:
    """The directives of one file, by what they are for."""

    def __init__(self, directives: Sequence[Directive]) -> None:
        """Raise ConfigError when a directive is missing, or is one that this stand-in cannot obey."""
        service = _only(directives, Service)
        if service.listen is None or service.tcp_port is None:
            raise ConfigError(f"line {service.line}: the stand-in needs -p and -i")
        self.listen = service.listen
        self.tcp_port = service.tcp_port
        self.log_format = _only(directives, LogFormat).text
        self.timeouts = _only(directives, Timeouts)
        self.maximum_connections = _only(directives, MaximumConnections).connections
        self.nameservers = tuple(each.address for each in directives if isinstance(each, Nameserver))
        self._auth = _only(directives, Auth).type
        self._rules = tuple(each for each in directives if isinstance(each, AccessRule))
        self._passwords: dict[str, str] = {}
        for each in directives:
            if isinstance(each, User):
                if each.kind is not PasswordKind.CLEAR:
                    raise ConfigError(f"line {each.line}: the stand-in knows clear passwords only")
                self._passwords[each.name] = each.secret

    def decide(self, asked: Asked) -> Outcome:
        """The verdict of the login and of the first rule that matches."""
        user = None
        if self._auth is AuthType.STRONG:
            if asked.user is None:
                return Outcome.LOGIN_WANTED
            if not self._password_matches(asked.user, asked.password):
                return Outcome.LOGIN_WRONG
            user = asked.user
        for rule in self._rules:
            if _matches(rule, asked, user):
                return Outcome.GRANTED if rule.verdict is Verdict.ALLOW else Outcome.DENIED
        return Outcome.NOT_ALLOWED

    def _password_matches(self, user: str, password: str | None) -> bool:
        known = self._passwords.get(user)
        if known is None or password is None:
            return False
        return hmac.compare_digest(known.encode(), password.encode())


def _matches(rule: AccessRule, asked: Asked, user: str | None) -> bool:
    if rule.users and user not in rule.users:
        return False
    if rule.operations and asked.operation not in rule.operations:
        return False
    if rule.sources and not any(asked.client in network for network in rule.sources):
        return False
    if not rule.targets:
        return True
    if asked.target is None:
        return rule.verdict is Verdict.ALLOW
    return any(asked.target in network for network in rule.targets)


def _only(directives: Sequence[Directive], kind: type[_Kind]) -> _Kind:
    found = [each for each in directives if isinstance(each, kind)]
    if len(found) != 1:
        raise ConfigError(f"the stand-in needs {kind.__name__} once, not {len(found)} times")
    return found[0]
