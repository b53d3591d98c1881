"""`lastmile device watch`: discoveries, live. Fed by notifications; the table is read when one may have been missed."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.device_board import Board, Line, Stage
from agent.cli.device_store import open_devices
from agent.core.clock import Deadline
from agent.core.errors import ProtocolError, TransientError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from agent.cli.device_store import Opened

RESYNC_SECONDS = 15.0
Heard = tuple[str, str]
"""Channel and payload; an empty channel: look in the table."""


@click.command("watch")
@click.argument("device", default="")
@click.option("--until-done", is_flag=True, help="End when no discovery is under way any more.")
@click.option("--timeout", "timeout_seconds", type=click.FloatRange(0.5), help="End after so many seconds.")
@click.pass_obj
def watch(config: Path | None, device: str, until_done: bool, timeout_seconds: float | None) -> None:
    """Follow the discoveries that are under way, of all devices or of one, until Ctrl-C."""
    with open_devices(config) as opened:
        device_id = opened.find(device).device_id if device else None
        deadline = Deadline.after(timeout_seconds if timeout_seconds is not None else 10 * 365 * 86_400)
        show = _bars() if sys.stdout.isatty() else _print_lines
        try:
            _follow(opened, Board(device_id), show, until_done, deadline)
        except KeyboardInterrupt:
            return


def _follow(
    opened: Opened, board: Board, show: Callable[[Iterable[Line]], None], until_done: bool, deadline: Deadline
) -> None:
    from agent.store.listen import DEVICE_CHANGE, SESSION_PROGRESS, Listener

    heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
    listener = Listener(
        opened.database.url,
        (DEVICE_CHANGE, SESSION_PROGRESS),
        lambda channel, payload: heard.put((channel, payload)),
        lambda: heard.put(("", "")),
        timeout_seconds=opened.database.timeout_seconds,
        name="lastmile watch",
    )
    # Once here, so that a database that is away is said at once.
    show(board.resync(opened.acs.sessions.fetch_open(discovering=True)))
    listener.start()
    try:
        while not deadline.passed and not (until_done and not board.reading):
            show(_take(opened, board, heard, deadline))
    finally:
        listener.stop()


def _take(opened: Opened, board: Board, heard: queue.SimpleQueue[Heard], deadline: Deadline) -> list[Line]:
    """What has changed since the last call; waits for something to change."""
    from agent.store.documents import read_object
    from agent.store.listen import SESSION_PROGRESS

    try:
        channel, payload = heard.get(timeout=deadline.earlier(RESYNC_SECONDS).remaining_seconds)
    except queue.Empty:
        channel, payload = "", ""
    if not channel:
        try:
            return board.resync(opened.acs.sessions.fetch_open(discovering=True))
        except TransientError:
            # The listener says when it is back.
            return []
    try:
        told = read_object(payload)
    except ProtocolError:
        return []
    line = board.progress(told) if channel == SESSION_PROGRESS else board.change(told)
    return [line] if line is not None else []


def _print_lines(lines: Iterable[Line]) -> None:
    for line in lines:
        click.echo(f"{line.device_id}  {line.text}")


def _bars() -> Callable[[Iterable[Line]], None]:
    """Shows each line as a bar that moves."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=Console(),
        auto_refresh=False,
    )
    click.get_current_context().call_on_close(progress.stop)
    progress.start()
    known: dict[str, TaskID] = {}

    def show(lines: Iterable[Line]) -> None:
        for line in lines:
            _show_bar(progress, known, line)
        progress.refresh()

    return show


def _show_bar(progress: Progress, known: dict[str, TaskID], line: Line) -> None:
    if line.device_id not in known:
        known[line.device_id] = progress.add_task(line.device_id, total=None, text="")
    bar = known[line.device_id]
    style = {Stage.FINISHED: "[green]{}[/]", Stage.FAILED: "[red]{}[/]", Stage.STOPPED: "[yellow]{}[/]"}.get(line.stage)
    progress.update(
        bar,
        total=line.batches or None,
        completed=line.batch,
        text=style.format(line.text) if style else line.text,
    )
    if line.stage is not Stage.READING:
        progress.stop_task(bar)
