"""Modems' QMI control channels through qmicli and qmi-proxy (libqmi 1.32 and later)."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from agent.core.clock import Deadline, now
from agent.core.errors import ConfigError, DeadlineExceeded, ProtocolError, QmiError, TransientError
from agent.host.qmi_proxy import end_proxies
from agent.host.qmicli_process import ProcessResult, ProcessRunner
from agent.modem.model import DataSession, IpSettings, Registration, Signal, Sim
from agent.modem.qmi.card import parse_card_status
from agent.modem.qmi.device import parse_imei
from agent.modem.qmi.failures import (
    INVALID_CLIENT_ID,
    INVALID_HANDLE,
    NO_EFFECT,
    OUT_OF_CALL,
    FailureKind,
    parse_failure,
)
from agent.modem.qmi.network import parse_serving_system, parse_signal_info
from agent.modem.qmi.sessions import (
    ConnectionStatus,
    parse_connection_status,
    parse_kept_client_id,
    parse_packet_statistics,
    parse_started_session,
)
from agent.modem.qmi.settings import parse_current_settings

logger = logging.getLogger(__name__)

OnExchange = Callable[[str, str, str, float], None]
"""(command, answer, outcome, seconds); outcome is ok, error or timeout."""

T = TypeVar("T")

_RELEASE_SECONDS = 5.0
_KEEP = "--client-no-release-cid"
_APN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_GONE = frozenset({NO_EFFECT, OUT_OF_CALL, INVALID_CLIENT_ID, INVALID_HANDLE})


class OpenMode(StrEnum):
    """How qmicli learns what a node speaks."""

    QMI = "qmi"
    """It is told: needed on a terminal, where nothing can be detected."""
    DETECT = "detect"
    """It asks the kernel's driver."""


class QmicliClient:
    """`Qmi` by subprocess. May be used from any thread; clients that share a `runner` share its bound."""

    def __init__(
        self,
        runner: ProcessRunner,
        *,
        open_mode: OpenMode = OpenMode.QMI,
        program: str = "qmicli",
        on_exchange: OnExchange | None = None,
    ) -> None:
        """`on_exchange` is called after every run, from the thread that asked."""
        self._runner = runner
        self._program = program
        self._open_flags = ("--device-open-qmi",) if open_mode is OpenMode.QMI else ()
        self._on_exchange = on_exchange
        self._lock = threading.Lock()
        self._hangups: dict[str, int] = {}

    def start_network(self, node: str, *, apn: str, family: int, deadline: Deadline) -> DataSession:
        """See `Qmi.start_network`; an empty `apn` is the SIM's default. Raises ConfigError when `apn` is no APN: it
        stands in a list of settings, and a comma would add one."""
        if apn and not _APN.fullmatch(apn):
            raise ConfigError("an APN has letters, digits, '.', '-' and '_' only")
        settings = [f"apn={apn}"] if apn else []
        start = f"--wds-start-network={','.join([*settings, f'ip-type={family}'])}"
        output = ""
        try:
            result = self._run(node, (start, _KEEP), deadline)
            output = result.output
            self._raise_failure(node, result)
            return self._parsed(parse_started_session, output)
        except (QmiError, TransientError) as error:
            client_id = parse_kept_client_id(output)
            if client_id is None:
                raise
            if isinstance(error, QmiError) and error.name == NO_EFFECT:
                return DataSession(client_id=client_id, packet_data_handle=None)
            self._give_back(node, client_id)
            raise

    def stop_network(self, node: str, session: DataSession, deadline: Deadline) -> None:
        """See `Qmi.stop_network`. qmicli gives the client id back when it ends, also when the stop is refused."""
        handle = session.packet_data_handle
        argument = "disable-autoconnect" if handle is None else str(handle)
        self._ask_of_a_session(node, (f"--wds-stop-network={argument}", _client(session)), deadline)

    def release(self, node: str, session: DataSession, deadline: Deadline) -> None:
        """See `Qmi.release`; a client id that the modem no longer knows is no error."""
        self._ask_of_a_session(node, ("--wds-noop", _client(session)), deadline)

    def connected(self, node: str, session: DataSession, deadline: Deadline) -> bool:
        """See `Qmi.connected`; a suspended service is up, since it keeps its addresses."""
        output = self._ask_of_a_session(node, ("--wds-get-packet-service-status", _client(session), _KEEP), deadline)
        if output is None:
            return False
        status = self._parsed(parse_connection_status, output)
        return status in (ConnectionStatus.CONNECTED, ConnectionStatus.SUSPENDED)

    def settings(self, node: str, session: DataSession, deadline: Deadline) -> IpSettings | None:
        """See `Qmi.settings`; those of IPv4 when the session has both families."""
        output = self._ask_of_a_session(node, ("--wds-get-current-settings", _client(session), _KEEP), deadline)
        if output is None:
            return None
        found = self._parsed(parse_current_settings, output)
        return found.ipv4 or found.ipv6

    def packet_statistics(self, node: str, session: DataSession, deadline: Deadline) -> tuple[int, int]:
        """See `Qmi.packet_statistics`."""
        arguments = ("--wds-get-packet-statistics", _client(session), _KEEP)
        found = self._parsed(parse_packet_statistics, self._ask(node, arguments, deadline))
        return found.rx_bytes, found.tx_bytes

    def serving_system(self, node: str, deadline: Deadline) -> Registration:
        """Where the modem stands with the network."""
        return self._parsed(parse_serving_system, self._ask(node, ("--nas-get-serving-system",), deadline))

    def signal(self, node: str, deadline: Deadline) -> Signal:
        """Radio measurements."""
        return self._parsed(parse_signal_info, self._ask(node, ("--nas-get-signal-info",), deadline))

    def card_status(self, node: str, deadline: Deadline) -> Sim:
        """The SIM's state; its numbers are not among what QMI says here."""
        return self._parsed(parse_card_status, self._ask(node, ("--uim-get-card-status",), deadline))

    def imei(self, node: str, deadline: Deadline) -> str | None:
        """The IMEI; None when the modem has none."""
        return self._parsed(parse_imei, self._ask(node, ("--dms-get-ids",), deadline))

    def set_raw_ip(self, node: str, deadline: Deadline) -> None:
        """`--wda-set-data-format=raw-ip`, on the modem's side."""
        self._ask(node, ("--wda-set-data-format=raw-ip",), deadline)

    def hangups_in_a_row(self, node: str) -> int:
        """How many calls in a row ended with "endpoint hangup": the control port is gone, or, when the node is there,
        qmi-proxy holds a dead handle of it and has to be restarted."""
        with self._lock:
            return self._hangups.get(node, 0)

    def restart_proxy(self, deadline: Deadline) -> int:
        """End the qmi-proxy of this network namespace; the next call starts another. It serves all modems: calls
        that are under way fail with TransientError. Returns how many were ended."""
        ended = end_proxies(deadline)
        with self._lock:
            self._hangups.clear()
        logger.warning("qmi-proxy was ended", extra={"COUNT": ended})
        return ended

    def _ask_of_a_session(self, node: str, arguments: tuple[str, ...], deadline: Deadline) -> str | None:
        """As `_ask`; None when the modem knows no such session any more."""
        try:
            return self._ask(node, arguments, deadline)
        except QmiError as error:
            if error.name not in _GONE:
                raise
            logger.debug("session is gone already", extra={"NODE": node, "ERROR": error.name})
            return None

    def _ask(self, node: str, arguments: tuple[str, ...], deadline: Deadline) -> str:
        result = self._run(node, arguments, deadline)
        self._raise_failure(node, result)
        return result.output

    def _run(self, node: str, arguments: tuple[str, ...], deadline: Deadline) -> ProcessResult:
        command = (self._program, "-p", "-d", node, *self._open_flags, *arguments)
        started = now()
        result = self._runner.run(command, deadline)
        if self._on_exchange is not None:
            outcome = "ok" if result.succeeded else "timeout" if result.timed_out else "error"
            self._on_exchange(" ".join(command), result.output.replace("\0", ""), outcome, now() - started)
        return result

    def _raise_failure(self, node: str, result: ProcessResult) -> None:
        if result.timed_out:
            raise DeadlineExceeded("qmicli did not answer in time")
        if result.succeeded:
            self._count_hangup(node, hung_up=False)
            return
        failure = parse_failure(result.output)
        self._count_hangup(node, hung_up=failure.kind is FailureKind.HANGUP)
        match failure.kind:
            case FailureKind.REFUSED:
                raise QmiError(failure.name, code=failure.code, reason=failure.reason)
            case FailureKind.TIMEOUT:
                raise DeadlineExceeded(f"the modem did not answer qmicli: {failure.message}")
            case FailureKind.HANGUP | FailureKind.UNAVAILABLE:
                raise TransientError(f"qmicli: {failure.message}")

    def _count_hangup(self, node: str, *, hung_up: bool) -> None:
        with self._lock:
            if hung_up:
                self._hangups[node] = self._hangups.get(node, 0) + 1
            else:
                self._hangups.pop(node, None)

    def _parsed(self, parse: Callable[[str], T], output: str) -> T:
        try:
            return parse(output)
        except ProtocolError as exc:
            raise TransientError(f"qmicli's output makes no sense: {exc}") from exc

    def _give_back(self, node: str, client_id: int) -> None:
        """Release the client id of a failed dial; its own deadline, since the dial may have used up the other."""
        session = DataSession(client_id=client_id, packet_data_handle=None)
        try:
            self.release(node, session, Deadline.after(_RELEASE_SECONDS))
        except (QmiError, TransientError) as error:
            logger.warning(
                "client id of a failed dial is not given back",
                extra={"NODE": node, "CLIENT_ID": client_id, "ERROR": str(error)},
            )


def _client(session: DataSession) -> str:
    return f"--client-cid={session.client_id}"
