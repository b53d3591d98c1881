"""`lastmile demo`"""

from __future__ import annotations

import importlib.util
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from agent.core.clock import Deadline
from agent.core.errors import AgentError, ConfigError, TransientError

if TYPE_CHECKING:
    from rich.console import Group

    from agent.cli.playground import Playground
    from agent.store.acs_statistics import AcsStatistics
    from agent.store.fleet import Fleet

NAME = "demo"
DIRECTORY = Path(".demo")
PICTURE_COLUMNS = 116


@click.command("demo")
@click.option("--modems", type=click.IntRange(1, 60), default=5, show_default=True, help="How many modems to emulate.")
@click.option("--cpes", type=click.IntRange(0, 2000), default=5, show_default=True, help="How many CPEs to emulate.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DIRECTORY,
    show_default=True,
    help="Where the demo keeps its files.",
)
@click.option("--seconds", type=click.FloatRange(1, 86_400), help="Stop by itself after so long.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    hidden=True,
    help="Write the table as SVG once all modems are online and known, and end (for the documents).",
)
@click.option("--purge", is_flag=True, help="Only end and remove what a killed demo has left; keep the files.")
def command(modems: int, cpes: int, directory: Path, seconds: float | None, picture: Path | None, purge: bool) -> None:
    """Run everything on emulated modems and CPEs until Ctrl-C, and leave nothing behind."""
    from agent.cli.only_one import only_one

    _check_installation()
    from agent.cli.playground import check_machine

    check_machine()
    with only_one(NAME):
        if purge:
            _purge(directory.absolute())
        else:
            _run(modems, cpes, directory.absolute(), seconds, picture)
    click.echo(f"Everything is gone but the files in {directory}", err=True)


def _check_installation() -> None:
    """Raise ConfigError when the emulated farm is not installed: a host with real modems has no use for it."""
    missing = [name for name in ("agent.sim", "h11", "siosocks") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the demo is not part of this installation ({', '.join(missing)} missing), as in the Debian package: "
            "run `make demo` in a checkout of lastmile"
        )


def _purge(directory: Path) -> None:
    from agent.cli.playground import Playground
    from agent.sim.postgres import EmbeddedPostgres

    if directory.exists():
        Playground.purge(NAME, directory)
        EmbeddedPostgres(directory / "postgres").stop()


def _run(modems: int, cpes: int, directory: Path, seconds: float | None, picture: Path | None) -> None:
    from agent.cli.playground import Playground

    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, end)
    click.echo(f"Starting PostgreSQL, {modems} emulated modems and {cpes} emulated CPEs …", err=True)
    with Playground.create(NAME, directory, modems=modems) as playground:
        playground.start_agent()
        playground.make_setup_link()
        playground.start_web()
        if cpes:
            playground.start_acs(cpes)
        _show(playground, modems, stop, seconds, picture)
        click.echo("Stopping …", err=True)


def _show(
    playground: Playground, modems: int, stop: threading.Event, seconds: float | None, picture: Path | None
) -> None:
    from agent.store.database import Database
    from agent.store.fleet import Fleet

    deadline = Deadline.after(seconds) if seconds is not None else None
    from agent.store.acs_statistics import AcsStatistics

    with Database(playground.url, pool_size=1, timeout_seconds=5.0, name="lastmile demo") as database:
        fleet, devices = Fleet(database), AcsStatistics(database)
        try:
            if picture is not None:
                _draw(playground, fleet, devices, modems, stop, picture)
            elif sys.stdout.isatty():
                _show_live(playground, fleet, devices, modems, stop, deadline)
            else:
                _show_lines(playground, fleet, devices, stop, deadline)
        finally:
            fleet.close()


def _show_live(
    playground: Playground,
    fleet: Fleet,
    devices: AcsStatistics,
    modems: int,
    stop: threading.Event,
    deadline: Deadline | None,
) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        while not stop.wait(0.5):
            _check(playground)
            live.update(_screen(playground, fleet, devices, modems, console.width), refresh=True)
            if deadline is not None and deadline.passed:
                return


def _draw(
    playground: Playground, fleet: Fleet, devices: AcsStatistics, modems: int, stop: threading.Event, picture: Path
) -> None:
    """The screen as it is once everything about every modem is known, as an SVG that loads nothing."""
    import io
    import re

    from rich.console import Console

    while not stop.wait(0.5):
        _check(playground)
        rows = fleet.fetch_modems()
        known = [row for row in rows if row.status.value == "online" and row.proxy_running and row.operator]
        if len(known) == modems:
            console = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), color_system="truecolor")
            console.print(_screen(playground, fleet, devices, modems, console.width))
            drawn = console.export_svg(title="make demo", unique_id="demo")
            without_fonts = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
            lines = (line.rstrip() for line in without_fonts.splitlines())
            picture.write_text("\n".join(line for line in lines if line) + "\n", encoding="utf-8")
            return


def _show_lines(
    playground: Playground, fleet: Fleet, devices: AcsStatistics, stop: threading.Event, deadline: Deadline | None
) -> None:
    """For a pipe or a log: one line whenever a modem's state changes or a CPE was read, and the lines to try."""

    last: dict[str, str] = {}
    told = False
    while not stop.wait(0.2):
        _check(playground)
        rows = fleet.fetch_modems()
        for row in rows:
            fields = (row.serial, row.status.value, row.proxy_address or "-", row.wan_address or "-", row.reason)
            line = " ".join(fields).rstrip()
            if last.get(row.serial) != line:
                last[row.serial] = line
                click.echo(line)
        line = _cpes(devices)
        if line and last.get("") != line:
            last[""] = line
            click.echo(line)
        if not told and any(row.status.value == "online" for row in rows):
            told = True
            click.echo(_hints(playground, fleet))
        if deadline is not None and deadline.passed:
            return


def _screen(playground: Playground, fleet: Fleet, devices: AcsStatistics, modems: int, width: int) -> Group:
    from rich.console import Group
    from rich.text import Text

    from agent.cli.modem_view import modem_table

    rows = fleet.fetch_modems()
    online = sum(row.status.value == "online" for row in rows)
    title = f"lastmile demo: {online} of {modems} emulated modems online"
    table = modem_table(rows, width=width, title=title)
    return Group(table, Text(_cpes(devices)), Text(_hints(playground, fleet)))


def _cpes(devices: AcsStatistics) -> str:
    """The CPEs in one line; empty while none has called."""
    counts = devices.count_devices()
    if not counts.total:
        return ""
    under_way = devices.count_open_sessions()
    return (
        f"CPEs: {counts.total} known, {counts.discovered} with their whole tree read, "
        f"{under_way.discovering} being read now"
    )


def _hints(playground: Playground, fleet: Fleet) -> str:
    row = next((row for row in fleet.fetch_modems() if row.status.value == "online" and row.proxy_running), None)
    address = row.proxy_address if row is not None else "ADDRESS:TCP-PORT"
    return (
        f"\nThe pages: http://127.0.0.1:{playground.web_tcp_port}/\n"
        f"  Make yourself an admin, once: {playground.setup_link}\n"
        f"\nTry from another terminal:\n"
        f"  curl -x http://{address} http://whoami.test/\n"
        f"  curl -x socks5h://{address} http://whoami.test/\n"
        f"  .venv/bin/lastmile --config {_from_here(playground.config)} status --json\n"
        f"  .venv/bin/lastmile --config {_from_here(playground.config)} device list\n"
        f"  curl http://127.0.0.1:{playground.web_tcp_port}/api/health\n"
        f"Agent's log: {_from_here(playground.directory / 'agent.log')}. Ctrl-C stops and cleans up.\n"
    )


def _from_here(path: Path) -> Path:
    """As short as it can be typed here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _check(playground: Playground) -> None:
    parts = ("agent", "web", "acs", "worker", "cpes")
    for name, process in ((part, getattr(playground, part)) for part in parts):
        if process is not None and process.poll() is not None:
            log = playground.directory / f"{name}.log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise DemoEndedError(f"{name} ended with status {process.returncode}; the end of {log}:\n{tail}")


class DemoEndedError(TransientError, AgentError):
    """A process of the demo ended by itself."""
