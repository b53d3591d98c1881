"""Carries out a connection request over HTTP: the URL that the device told, within the policy, and how it was taken."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from agent.acs.connection_request.answer import Login
from agent.acs.connection_request.outcome import Accepted, Busy, Outcome, Refused, Unreachable
from agent.acs.connection_request.policy import Address, Forbidden, Policy, Target, parse_url
from agent.core.clock import Deadline
from agent.store.calls import Call
from agent.worker.caller import Heard, Reply
from agent.worker.http_request import request


class HttpCall:
    """`Caller`'s `ask`. `login_of` gives what to say to a device that asks who we are; None: nothing."""

    def __init__(self, policy: Callable[[], Policy], login_of: Callable[[str], Login | None]) -> None:
        self._policy = policy
        self._login_of = login_of

    def ask(self, call: Call, deadline: Deadline) -> Reply:
        """Send the request, answer a challenge once, and say how the device took it."""
        if not call.url:
            return Reply(heard=Heard.REFUSED, reason="the device has told no ConnectionRequestURL")
        try:
            target = parse_url(call.url)
        except Forbidden as exc:
            return Reply(heard=Heard.REFUSED, reason=str(exc))
        login = self._login_of(call.device_id)
        return reply_of(request(target, login, deadline=deadline, policy=self._policy(), resolver=resolve))


def reply_of(outcome: Outcome) -> Reply:
    """What the worker does about an outcome."""
    match outcome:
        case Accepted():
            return Reply(heard=Heard.ACCEPTED)
        case Busy(reason=reason):
            return Reply(heard=Heard.BUSY, reason=reason)
        case Unreachable(reason=reason):
            return Reply(heard=Heard.UNREACHABLE, reason=reason)
        case Refused():
            return Reply(heard=Heard.REFUSED, reason=outcome.reason)


def resolve(target: Target, deadline: Deadline) -> Sequence[Address]:
    """The addresses of a target's host. Raises OSError; a resolver that does not answer is given up at the deadline."""
    found: list[Address] = []
    trouble: list[OSError] = []

    def look() -> None:
        try:
            infos = socket.getaddrinfo(target.host, target.tcp_port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(ip_address(str(info[4][0]).partition("%")[0]) for info in infos))
        except OSError as exc:
            trouble.append(exc)
        except UnicodeError:
            trouble.append(OSError("not a name that can be looked up"))

    # getaddrinfo knows no deadline.
    thread = threading.Thread(target=look, name="resolve", daemon=True)
    thread.start()
    thread.join(deadline.remaining_seconds)
    if trouble:
        raise trouble[0]
    if not found:
        raise TimeoutError("the resolver does not answer")
    return found
