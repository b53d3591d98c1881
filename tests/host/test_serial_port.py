"""AT ports on pseudo terminals, with a hostile modem at the other end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import termios
import threading
import tty
from collections.abc import Callable, Iterator

import pytest
import serial

from agent.core.clock import Deadline, now
from agent.core.errors import CmeError, DeadlineExceeded, ProtocolError, TransientError
from agent.host.serial_port import SerialPortOpener, open_serial

PROBE = re.compile(r"AT\+(CMEE|CREG|CGREG|CFUN)=\?")
Answer = Callable[[str], bytes | None]


def obedient(command: str) -> bytes | None:
    """What a modem that does all right says."""
    if found := PROBE.fullmatch(command):
        return f"\r\n+{found[1]}: (0-2)\r\n\r\nOK\r\n".encode()
    return b"\r\nOK\r\n"


class FakeModem:
    """The other end of a pseudo terminal: hears lines, says what `answer` tells it to, in chunks of `chunk` bytes."""

    def __init__(self, answer: Answer = obedient, *, echo: bool = False, chunk: int = 4096) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.node = os.ttyname(self.slave)
        self.answer = answer
        self.echo = echo
        self.chunk = chunk
        self.heard: list[str] = []
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def say(self, data: bytes) -> None:
        for start in range(0, len(data), self.chunk):
            os.write(self.master, data[start : start + self.chunk])

    def _run(self) -> None:
        buffer = b""
        while True:
            ready, _, _ = select.select([self.master, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            buffer += os.read(self.master, 4096)
            *lines, buffer = buffer.split(b"\r")
            for line in lines:
                text = line.replace(b"\x1b", b"").decode()
                if not text:
                    continue
                self.heard.append(text)
                if self.echo:
                    self.say(line + b"\r")
                said = self.answer(text)
                if said:
                    self.say(said)

    def unplug(self) -> None:
        os.write(self._stop_write, b"x")
        self._thread.join()
        for descriptor in (self.slave, self.master, self._stop_read, self._stop_write):
            os.close(descriptor)


@contextlib.contextmanager
def modem(answer: Answer = obedient, *, echo: bool = False, chunk: int = 4096) -> Iterator[FakeModem]:
    fake = FakeModem(answer, echo=echo, chunk=chunk)
    try:
        yield fake
    finally:
        with contextlib.suppress(OSError):
            fake.unplug()


def soon(seconds: float = 5.0) -> Deadline:
    return Deadline.after(seconds)


def ignore(_: str) -> None:
    return


def eventually(condition: Callable[[], bool]) -> None:
    deadline = soon()
    while not condition():
        assert not deadline.passed, "it did not happen"
        threading.Event().wait(0.005)


@pytest.mark.parametrize("chunk", [1, 4096])
def test_a_command_gets_its_own_answer_and_urcs_go_elsewhere(chunk: int) -> None:
    def answer(command: str) -> bytes | None:
        if command == "AT+CSQ":
            return b'\r\n+CREG: 5\r\n\r\n+CSQ: 23,99\r\n\r\n+QIND: PB DONE\r\n\r\nOK\r\n\r\n+CMTI: "ME",3\r\n'
        return obedient(command)

    urcs: list[str] = []
    with modem(answer, echo=True, chunk=chunk) as fake:
        port = SerialPortOpener().open(fake.node, soon(), urcs.append)
        assert port.command("AT+CSQ", soon()).lines == ("+CSQ: 23,99",)
        echoes = [port.echo_seen]
        eventually(lambda: len(urcs) == 3)
        assert urcs == ["+CREG: 5", "+QIND: PB DONE", '+CMTI: "ME",3']
        fake.echo = False
        port.command("AT", soon())
        echoes.append(port.echo_seen)
        assert echoes == [True, False]
        port.close()
        assert port.finished.wait(5)


def test_what_was_said_before_the_open_is_not_an_answer() -> None:
    def answer(command: str) -> bytes | None:
        if command == "AT+CIMI":
            return b"\r\n262011234567890\r\n\r\nOK\r\n"
        if PROBE.fullmatch(command):
            return b"S: half a line\r\n\r\n+CSQ: 1,99\r\n\r\nOK\r\n\0\0" + (obedient(command) or b"")
        return obedient(command)

    with modem(answer) as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)
        assert port.command("AT+CIMI", soon()).lines == ("262011234567890",)
        port.close()


def test_a_late_answer_is_never_given_to_the_next_command() -> None:
    late = threading.Event()

    def answer(command: str) -> bytes | None:
        if command == "AT+CGSN":
            return None
        if PROBE.fullmatch(command) and late.is_set():
            return b"\r\n860000000000001\r\n\r\nOK\r\n" + (obedient(command) or b"")
        if command == "AT+CIMI":
            return b"\r\n262011234567890\r\n\r\nOK\r\n"
        return obedient(command)

    exchanges: list[tuple[str, str, str]] = []
    with modem(answer) as fake:
        opener = SerialPortOpener(
            on_exchange=lambda command, said, outcome, _: exchanges.append((command, said, outcome))
        )
        port = opener.open(fake.node, soon(), ignore)
        with pytest.raises(DeadlineExceeded):
            port.command("AT+CGSN", soon(0.3))
        late.set()
        assert port.command("AT+CIMI", soon()).lines == ("262011234567890",)
        port.close()
    assert ("AT+CGSN", "", "timeout") in exchanges
    assert ("AT+CIMI", "262011234567890\nOK", "ok") in exchanges


def test_an_answer_later_than_the_next_command_is_still_not_taken() -> None:
    """The modem swallows a probe while it is busy; its own answer comes when the second command already waits."""

    def answer(command: str) -> bytes | None:
        if command == "AT+COPS=?" or len(fake.heard) < 5:
            return obedient(command) if len(fake.heard) == 1 else None
        return b"\r\n42\r\n\r\nOK\r\n" if command == "AT+CGSN" else obedient(command)

    with modem(answer) as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)
        for _ in range(3):
            with pytest.raises(DeadlineExceeded):
                port.command("AT+COPS=?", soon(0.15))
        fake.say(b'\r\n+COPS: (2,"X","X","26201",7)\r\n\r\nOK\r\n')
        fake.heard += [""] * 5
        assert port.command("AT+CGSN", soon()).lines == ("42",)
        port.close()


def test_a_modem_that_refuses_the_probe_is_usable_after_a_quiet_moment() -> None:
    def answer(command: str) -> bytes | None:
        return b"\r\nERROR\r\n" if PROBE.fullmatch(command) else b"\r\nOK\r\n"

    with modem(answer) as fake:
        port = SerialPortOpener(quiet_seconds=0.1).open(fake.node, soon(), ignore)
        assert port.command("AT", soon()).final == "OK"
        port.close()


def test_a_refusal_is_raised_with_its_number() -> None:
    with modem(lambda text: b"\r\n+CME ERROR: SIM not inserted\r\n" if "CPIN" in text else obedient(text)) as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)
        with pytest.raises(CmeError) as caught:
            port.command("AT+CPIN?", soon())
        assert caught.value.code == 10
        port.close()


def test_a_pin_reaches_the_modem_and_nothing_else() -> None:
    def answer(command: str) -> bytes | None:
        if "CPIN" in command:
            return b'\r\nT+CPIN="4711"\r\n+CPIN: 4711\r\n+CME ERROR: 16\r\n'
        return obedient(command)

    seen: list[str] = []
    with modem(answer, echo=True) as fake:
        opener = SerialPortOpener(on_exchange=lambda *parts: seen.extend(map(str, parts)))
        port = opener.open(fake.node, soon(), ignore)
        with pytest.raises(CmeError) as caught:
            port.command('AT+CPIN="4711"', soon())
        assert 'AT+CPIN="4711"' in fake.heard
        fake.answer = lambda _: None
        with pytest.raises(DeadlineExceeded) as late:
            port.command('AT+CPIN="4711"', soon(0.1))
        port.close()
    assert "CPIN" in "".join(seen)
    assert "4711" not in "".join(seen) + str(caught.value) + repr(caught.value) + str(late.value)


def test_a_line_end_cannot_smuggle_a_second_command_in() -> None:
    with modem() as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)
        for text in ("AT\rAT+CFUN=0", "AT\n", "AT+X\x1a", "+CFUN=0", "", "AT" + "X" * 5000, "ATé"):
            with pytest.raises(ProtocolError):
                port.command(text, soon())
        port.close()
        assert fake.heard == []


def test_callers_take_turns_and_a_turn_has_a_deadline() -> None:
    release = threading.Event()

    def answer(command: str) -> bytes | None:
        if command == "AT+SLOW":
            release.wait(5)
        return obedient(command) if "=?" in command else f"\r\nto {command[3:]}\r\n\r\nOK\r\n".encode()

    with modem(answer) as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)
        results: dict[str, tuple[str, ...]] = {}

        def ask(name: str) -> None:
            results[name] = port.command(f"AT+{name}", soon()).lines

        slow = threading.Thread(target=ask, args=("SLOW",))
        slow.start()
        eventually(lambda: "AT+SLOW" in fake.heard)
        with pytest.raises(DeadlineExceeded):
            port.command("AT+NOTURN", soon(0.05))
        others = [threading.Thread(target=ask, args=(f"N{number}",)) for number in range(8)]
        for other in others:
            other.start()
        release.set()
        for thread in (slow, *others):
            thread.join()
        assert results == {name: (f"to {name}",) for name in ("SLOW", *(f"N{number}" for number in range(8)))}
        assert "AT+NOTURN" not in fake.heard
        port.close()


def test_a_lost_port_tells_who_waits_and_who_comes_later() -> None:
    with modem(lambda text: obedient(text) if "=?" in text else None) as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)
        failures: list[Exception] = []

        def ask() -> None:
            try:
                port.command("AT+CGSN", soon(30))
            except TransientError as exc:
                failures.append(exc)

        waiter = threading.Thread(target=ask)
        waiter.start()
        eventually(lambda: "AT+CGSN" in fake.heard)
        fake.unplug()
        waiter.join(5)
        assert len(failures) == 1
        assert not isinstance(failures[0], DeadlineExceeded)
        began = now()
        with pytest.raises(TransientError, match="lost"):
            port.command("AT", soon(30))
        assert now() - began < 1
        assert port.closed
        assert port.finished.wait(5)


def test_close_tells_who_waits_and_the_node_can_be_opened_again_at_once() -> None:
    with modem(lambda text: obedient(text) if "=?" in text else None) as fake:
        opener = SerialPortOpener()
        port = opener.open(fake.node, soon(), ignore)
        failures: list[Exception] = []

        def ask() -> None:
            try:
                port.command("AT+CGSN", soon(30))
            except TransientError as exc:
                failures.append(exc)

        waiter = threading.Thread(target=ask)
        waiter.start()
        eventually(lambda: "AT+CGSN" in fake.heard)
        port.close()
        waiter.join(5)
        assert "closed" in str(failures[0])
        fake.answer = obedient
        again = opener.open(fake.node, soon(), ignore)
        assert again.command("AT", soon()).final == "OK"
        again.close()


def test_garbage_for_ever_does_not_keep_a_command_beyond_its_deadline() -> None:
    stop = threading.Event()
    with modem(lambda _: None) as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)

        def babble() -> None:
            while not stop.is_set():
                with contextlib.suppress(BlockingIOError):
                    fake.say(os.urandom(256))

        babbler = threading.Thread(target=babble)
        babbler.start()
        began = now()
        with pytest.raises(DeadlineExceeded):
            port.command("AT", soon(0.5))
        assert now() - began < 2
        port.close()
        eventually(port.finished.is_set)
        stop.set()
        # The babbler may sleep in a full terminal: let it go.
        termios.tcflush(fake.slave, termios.TCIOFLUSH)
        babbler.join(5)
        assert not babbler.is_alive()


def test_a_modem_that_takes_no_bytes_does_not_keep_a_command_beyond_its_deadline() -> None:
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        os.set_blocking(slave, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(slave, b"x" * 4096)
        port = SerialPortOpener().open(os.ttyname(slave), soon(), ignore)
        for _ in range(3):
            with pytest.raises(DeadlineExceeded):
                port.command("AT", soon(0.1))
        port.close()
        assert port.finished.wait(5)
    finally:
        os.close(slave)
        os.close(master)


def test_the_port_is_ours_alone_and_raw_and_hangs_nothing_up() -> None:
    with modem() as fake:
        before = termios.tcgetattr(fake.slave)
        before[2] |= termios.HUPCL
        termios.tcsetattr(fake.slave, termios.TCSANOW, before)
        port = SerialPortOpener().open(fake.node, soon(), ignore)
        attributes = termios.tcgetattr(fake.slave)
        assert not attributes[2] & termios.HUPCL
        assert not attributes[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
        descriptor = os.open(fake.node, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            exclusive = bytearray(4)
            fcntl.ioctl(descriptor, 0x80045440, exclusive)  # TIOCGEXCL
            assert exclusive[0] == 1
        finally:
            os.close(descriptor)
        with pytest.raises(TransientError, match=re.escape(fake.node)):
            open_serial(fake.node)
        port.close()


def test_a_node_that_is_not_there_is_a_transient_error() -> None:
    with pytest.raises(TransientError, match="no-such-node"):
        SerialPortOpener().open("/dev/no-such-node", soon(), ignore)


def test_opens_that_hang_are_abandoned_and_the_fourth_is_refused_at_once() -> None:
    driver_lets_go = threading.Event()
    hanging = 0
    closed: list[str] = []

    class Closing(serial.Serial):
        def close(self) -> None:
            closed.append("closed")
            super().close()

    def open_device(node: str) -> serial.Serial:
        nonlocal hanging
        if not driver_lets_go.is_set():
            hanging += 1
            driver_lets_go.wait(20)
            return Closing()
        return open_serial(node)

    with modem() as fake:
        opener = SerialPortOpener(open_device=open_device)
        for count in (1, 2, 3):
            with pytest.raises(DeadlineExceeded):
                opener.open(fake.node, soon(0.05), ignore)
            assert opener.abandoned_opens(fake.node) == count
        began = now()
        with pytest.raises(TransientError, match="quarantine") as caught:
            opener.open(fake.node, soon(20), ignore)
        assert not isinstance(caught.value, DeadlineExceeded)
        assert now() - began < 1
        assert hanging == 3
        driver_lets_go.set()
        eventually(lambda: len(closed) >= 3)  # what opened too late is closed, not leaked
        with pytest.raises(TransientError, match="quarantine"):
            opener.open(fake.node, soon(), ignore)
        opener.forget(fake.node)
        port = opener.open(fake.node, soon(), ignore)
        assert port.command("AT", soon()).final == "OK"
        port.close()


def test_a_write_that_fails_is_a_lost_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with modem() as fake:
        port = SerialPortOpener().open(fake.node, soon(), ignore)

        def broken(_descriptor: int, _data: bytes) -> int:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr("agent.host.serial_owner.os.write", broken)
        with pytest.raises(TransientError, match="Input/output"):
            port.command("AT", soon())
        monkeypatch.undo()
        assert port.finished.wait(5)
