"""Pairs commands with their answers on one AT port. Pure: told what was read, it says what happened."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agent.core.errors import AgentError, CmeError, CmsError, InvariantError, ProtocolError
from agent.modem.at.codes import cme_error, cms_error
from agent.modem.at.command_line import CommandLine, Form, parse_command_line
from agent.modem.at.decoder import LINE_LIMIT_BYTES, AtDecoder, DecodedEvent, Line, Overlong, Prompt
from agent.modem.at.fields import name_of, parameters_of
from agent.modem.at.redaction import redact
from agent.modem.at.responses import AtResponse
from agent.modem.at.urc import WITH_BODY, answers_once, is_urc, is_urc_during

ANSWER_LIMIT_CHARACTERS = 256 * 1024
_LINE_OVERHEAD = 32
_CME = re.compile(r"\+CME ERROR:(.*)", re.IGNORECASE)
_CMS = re.compile(r"\+CMS ERROR:(.*)", re.IGNORECASE)
_CALL_ENDS = frozenset({"NO CARRIER", "NO ANSWER", "NO DIALTONE", "BUSY"})
# Known without a SIM first.
_PROBES = ("CFUN", "CMEE", "CREG", "CGREG")


@dataclass(frozen=True, slots=True)
class Answered:
    """The command was accepted."""

    response: AtResponse


@dataclass(frozen=True, slots=True)
class Failed:
    """The command was refused (CmeError, CmsError), or its answer was not to be used (ProtocolError)."""

    error: AgentError
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompted:
    """The command waits for text; it ends with Ctrl-Z, or with ESC, which gives it up."""


@dataclass(frozen=True, slots=True)
class Unsolicited:
    """A URC; one with a body (`+CMT`) has two lines."""

    text: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """A line that belongs to nothing: an echo of before, half a line, a late answer. May hold a secret."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StaleResult:
    """A final result came while synchronising that is not the probe's own answer, unless the modem does not
    know the probe."""

    refused: bool
    """Whether it was an error: the only way a modem that follows the standard would end an unknown probe."""


@dataclass(frozen=True, slots=True)
class Synchronised:
    """Nothing from before can come any more: a command may begin."""

    answer: str
    """What the probe was answered."""


AtEvent = Answered | Failed | Prompted | Unsolicited | Discarded | StaleResult | Synchronised


@dataclass(slots=True, repr=False)
class _Running:
    command: CommandLine
    token: str | None = None
    """Of a probe: the start of the only line that counts as its answer."""
    token_line: str | None = None
    lines: list[str] = field(default_factory=list)
    size: int = 0
    echo: str = ""
    echo_complete: bool = False
    prompted: bool = False
    broken: ProtocolError | None = None


class AtExchange:
    """One command at a time, on a port whose past is unknown at first.

    A new exchange, or one whose command was abandoned, is not `synchronised`: answers may come that belong
    to nobody. `begin_synchronisation` sends a probe whose answer (`+CFUN: (0,1,4)`) no other command has, so
    that `Synchronised` is certain; each try takes another probe. A modem that refuses the probe gives only
    `StaleResult`: when nothing comes for a while after that, the caller may say `assume_synchronised`.
    """

    def __init__(
        self,
        *,
        answer_limit_characters: int = ANSWER_LIMIT_CHARACTERS,
        line_limit_bytes: int = LINE_LIMIT_BYTES,
    ) -> None:
        self._decoder = AtDecoder(line_limit_bytes=line_limit_bytes)
        self._limit = answer_limit_characters
        self._running: _Running | None = None
        self._stale: CommandLine | None = None
        self._urc_head: str | None = None
        self._probes = 0
        self.synchronised = False
        self.echo_seen = False
        """Whether the modem echoed the last command that began."""

    def begin(self, command: str) -> bytes:
        """Start `command`; returns the bytes to send. Raises ProtocolError unless it is one command line."""
        if self._running is not None or not self.synchronised:
            raise InvariantError("a command began on a busy AT exchange")
        line = parse_command_line(command)
        self._start(_Running(line))
        return line.text.encode("ascii") + b"\r"

    def begin_synchronisation(self) -> bytes:
        """Start a probe; returns the bytes to send: before it, ESC and CR end the text entry or the half command
        line in which somebody may have left the modem."""
        name = self._next_probe()
        self.synchronised = False
        line = parse_command_line(f"AT+{name}=?")
        self._start(_Running(line, token=f"+{name}:"))
        return b"\x1b\r" + line.text.encode("ascii") + b"\r"

    def _next_probe(self) -> str:
        tested = [name for name, form in self._stale.forms if form is Form.TEST] if self._stale else []
        usable = [name for name in _PROBES if name not in tested] or list(_PROBES)
        name = usable[self._probes % len(usable)]
        self._probes += 1
        return name

    def assume_synchronised(self) -> None:
        """End the probe without its own answer."""
        self._finish()
        self.synchronised = True
        self._stale = None

    def abandon(self) -> None:
        """Nobody waits for the running command any more; its answer will be discarded."""
        running = self._finish()
        if running is not None and running.token is None:
            self._stale = running.command
        self.synchronised = False

    def receive(self, data: bytes) -> tuple[AtEvent, ...]:
        """Take any number of bytes, return what happened. Never raises, and keeps no more than its limits."""
        events: list[AtEvent] = []
        for event in self._decoder.receive(data):
            self._handle(event, events)
        return tuple(events)

    def _start(self, running: _Running) -> None:
        self._running = running
        self.echo_seen = False
        self._decoder.prompt_expected = running.command.prompts

    def _finish(self) -> _Running | None:
        running, self._running = self._running, None
        self._decoder.prompt_expected = False
        return running

    def _handle(self, event: DecodedEvent, events: list[AtEvent]) -> None:
        match event:
            case Line(text):
                self._handle_line(text, events)
            case Prompt():
                if self._running is not None:
                    self._running.prompted = True
                    events.append(Prompted())
            case Overlong():
                if self._running is not None:
                    self._running.broken = ProtocolError("a line of the answer is too long")

    def _handle_line(self, text: str, events: list[AtEvent]) -> None:
        running = self._running
        final = _final_of(text, running)
        if self._urc_head is not None:
            head, self._urc_head = self._urc_head, None
            events.append(Unsolicited(head if final else f"{head}\n{text}"))
            if not final:
                return
        if running is None:
            self._handle_idle(text, events)
        elif final:
            self._handle_final(running, text, events)
        elif running.token is not None:
            self._handle_probe_line(running, text, events)
        elif self._is_echo(running, text):
            return
        elif is_urc_during(text, running.command):
            self._unsolicited(text, events)
        else:
            self._handle_information(running, text, events)

    def _unsolicited(self, text: str, events: list[AtEvent]) -> None:
        if name_of(text) in WITH_BODY:
            self._urc_head = text
        else:
            events.append(Unsolicited(text))

    def _handle_idle(self, text: str, events: list[AtEvent]) -> None:
        named = name_of(text) is not None and not _CME.match(text) and not _CMS.match(text)
        expected = self._stale is None or is_urc_during(text, self._stale)
        if (is_urc(text) and expected) or (named and self.synchronised):
            self._unsolicited(text, events)
        else:
            events.append(Discarded(text))

    def _handle_probe_line(self, probe: _Running, text: str, events: list[AtEvent]) -> None:
        if self._is_echo(probe, text):
            return
        if text.startswith(probe.token or "") and parameters_of(text).startswith("("):
            probe.token_line = text
        else:
            self._handle_idle(text, events)

    def _handle_information(self, running: _Running, text: str, events: list[AtEvent]) -> None:
        if running.prompted and name_of(text) is None:
            events.append(Discarded(text))  # the echo of what was entered
            return
        running.size += len(text) + _LINE_OVERHEAD
        if running.size > self._limit:
            running.broken = ProtocolError("the answer is too long")
            running.lines.clear()
        else:
            running.lines.append(text)

    def _handle_final(self, running: _Running, text: str, events: list[AtEvent]) -> None:
        if running.token is not None:
            if running.token_line is not None:
                self.assume_synchronised()
                events.append(Synchronised(running.token_line))
            else:
                events.append(StaleResult(refused=text != "OK"))
            return
        self._finish()
        command = redact(running.command.text)
        error = running.broken or _error_of(text, command)
        if error is not None:
            events.append(Failed(error, (*running.lines, text)))
            return
        lines = self._without_look_alikes(running, events)
        events.append(Answered(AtResponse(command=command, lines=lines, final=text)))

    def _without_look_alikes(self, running: _Running, events: list[AtEvent]) -> tuple[str, ...]:
        """The answer's lines without URCs that have the answer's own shape: the line next to the result
        answers."""
        kept: list[str] = []
        answered: set[str] = set()
        for line in reversed(running.lines):
            name = name_of(line)
            if name is not None and answers_once(name, running.command):
                if name in answered:
                    events.append(Unsolicited(line))
                    continue
                answered.add(name)
            kept.append(line)
        return tuple(reversed(kept))

    def _is_echo(self, running: _Running, text: str) -> bool:
        """Whether `text` is the echo of the running command, or a part of it: the port was opened, or a URC
        came, in the middle of it. Only what comes before the first information line can be one."""
        if running.echo_complete or running.lines:
            return False
        command, seen = running.command.text.strip().upper(), text.upper()
        after_first_part = bool(running.echo) and command == running.echo + seen
        with_junk = seen.endswith(command) and (name_of(text) is None or len(command) > len("ATI"))
        if with_junk or after_first_part or (not running.echo and command.endswith(seen)):
            running.echo_complete = self.echo_seen = True
            return True
        if not running.echo and len(seen) >= 2 and command.startswith(seen):
            running.echo = seen
            self.echo_seen = True
            return True
        return False


def _final_of(text: str, running: _Running | None) -> bool:
    """Whether `text` ends a command."""
    if text in ("OK", "ERROR") or _CME.match(text) or _CMS.match(text):
        return True
    if running is None:
        return False
    return text == "CONNECT" or text.startswith("CONNECT ") or (text in _CALL_ENDS and running.command.dials)


def _error_of(text: str, command: str) -> CmeError | CmsError | None:
    """The refusal in a final result; None when it is a success."""
    if found := _CME.match(text):
        return cme_error(command, found[1])
    if found := _CMS.match(text):
        return cms_error(command, found[1])
    if text == "ERROR" or text in _CALL_ENDS:
        return CmeError(command, None, text)
    return None
