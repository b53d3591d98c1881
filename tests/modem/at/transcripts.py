"""Transcripts of real modems, and their replay through an exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agent.modem.at.exchange import Answered, AtEvent, AtExchange, Discarded, Failed, Prompted, Unsolicited

DATA = Path(__file__).parents[2] / "data" / "at"


def names() -> list[str]:
    """Every transcript, by its number and the start of its name."""
    return sorted(path.name for path in DATA.glob("*.txt"))


def body(number: str) -> bytes:
    """A transcript without the line that says where it is from."""
    (path,) = DATA.glob(f"{number}-*.txt")
    return path.read_bytes().partition(b"\n")[2]


def text(number: str) -> str:
    """As `body`, for what qmicli and other programs printed."""
    return body(number).decode()


def synchronised() -> AtExchange:
    exchange = AtExchange()
    exchange.assume_synchronised()
    return exchange


@dataclass
class Replay:
    """What an exchange made of a transcript."""

    answers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Information lines by command; of one that was asked twice, the last."""
    events: list[AtEvent] = field(default_factory=list)

    @property
    def urcs(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Unsolicited)]

    @property
    def errors(self) -> list[str]:
        return [str(event.error) for event in self.events if isinstance(event, Failed)]

    @property
    def discarded(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Discarded)]

    @property
    def prompts(self) -> int:
        return sum(isinstance(event, Prompted) for event in self.events)


def replay(data: bytes, *, command: str | None = None, chunk: int = 0) -> Replay:
    """Feed a transcript: a line that begins with `AT` is a command that is sent, and its own echo. A command whose
    result the transcript leaves out gets an OK. `command`: one that is sent before all of it."""
    exchange, result, running = synchronised(), Replay(), command

    def receive(piece: bytes) -> None:
        nonlocal running
        size = chunk or max(1, len(piece))
        for start in range(0, len(piece), size):
            for event in exchange.receive(piece[start : start + size]):
                result.events.append(event)
                if isinstance(event, Answered | Failed):
                    lines = event.response.lines if isinstance(event, Answered) else event.lines
                    result.answers[running or ""] = lines
                    running = None

    if command is not None:
        exchange.begin(command)
    for line in data.split(b"\n"):
        stripped = line.strip(b"\r")
        if stripped[:2].upper() == b"AT":
            if running is not None:
                receive(b"\r\nOK\r\n")
            running = stripped.decode()
            exchange.begin(running)
        receive(line + b"\n")
    if running is not None:
        receive(b"\r\nOK\r\n")
    return result
