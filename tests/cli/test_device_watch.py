"""`lastmile device watch`: discoveries as they go, without looking again and again."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agent.cli import device_watch
from agent.cli.device_board import Board, Line, Stage
from agent.cli.device_view import device_table
from agent.cli.main import main
from agent.store.database import Database
from agent.store.device_rows import OpenSession, SessionRow, SessionStatus
from agent.store.devices import Devices
from tests.cli.conftest import Run
from tests.store.cpes import add_device, begin_session, end_session, tree
from tests.store.farm import eventually, rows


def told(device: str, batch: int, **more: Any) -> dict[str, Any]:
    return {"device": device, "batch": batch, "batches": 48, "parameters": batch * 50, "total": 2396, **more}


def session_of(device: str, batch: int) -> OpenSession:
    return OpenSession(
        device_id=device,
        serial_number="1",
        session=SessionRow(
            status=SessionStatus.DISCOVERING,
            batch=batch,
            batches=48,
            parameters=batch * 50,
            started_at=None,
            touched_at=None,
            events=(),
            messages=1,
            worker="w",
            peer=None,
        ),
    )


class TestBoard:
    def test_a_discovery_from_its_begin_to_its_end(self) -> None:
        board = Board()
        line = board.change({"device": "a", "kind": "device_added"})
        assert line is not None
        assert line.text == "listing names"
        line = board.progress(told("a", 15))
        assert line is not None
        assert line.text == "batch 15/48, 750 of 2396 parameters"
        assert board.reading
        line = board.change({"device": "a", "kind": "discovery_finished"})
        assert line is not None
        assert line.text == "finished, 2396 parameters"
        assert (line.batch, line.batches) == (48, 48)
        assert not board.reading

    def test_one_that_fails_keeps_what_was_read(self) -> None:
        board = Board()
        board.progress(told("a", 15))
        line = board.change({"device": "a", "kind": "discovery_failed"})
        assert line is not None
        assert line.text == "failed, 750 parameters"

    def test_the_table_corrects_what_was_missed(self) -> None:
        board = Board()
        board.progress(told("a", 15))
        board.progress(told("b", 3))
        changed = board.resync([session_of("b", 9), session_of("c", 1)])
        assert [(line.device_id, line.stage, line.batch) for line in changed] == [
            ("b", Stage.READING, 9),
            ("c", Stage.READING, 1),
            ("a", Stage.STOPPED, 15),
        ]
        assert board.resync([session_of("b", 8), session_of("c", 1)]) == []
        assert board.resync([session_of("a", 1), session_of("b", 9), session_of("c", 1)])[0].stage is Stage.READING

    def test_only_one_device(self) -> None:
        board = Board("a")
        assert board.progress(told("b", 1)) is None
        assert board.resync([session_of("b", 1)]) == []
        assert board.progress(told("a", 1)) is not None
        assert list(board.lines) == ["a"]

    @pytest.mark.parametrize(
        "payload",
        [{}, {"device": 1}, told("a", 1, total="many"), {**told("a", 1), "batch": True}, {"device": "a", "kind": "x"}],
    )
    def test_nonsense_changes_nothing(self, payload: dict[str, Any]) -> None:
        board = Board()
        assert board.progress(payload) is None
        assert board.change(payload) is None
        assert board.lines == {}


class TestCommand:
    def test_it_follows_until_all_are_done(
        self, config: Path, database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # With looks this rare, what comes in time comes by notifications.
        monkeypatch.setattr(device_watch, "RESYNC_SECONDS", 600.0)
        first, second = add_device(database_url, 1), add_device(database_url, 2)
        begin_session(database_url, first, discovery=tree(), batch=1, batches=48)
        begin_session(database_url, second, wanted=True)
        seen = ""

        def shows(words: str) -> bool:
            nonlocal seen
            seen += capsys.readouterr().out
            return words in seen

        statuses: list[object] = []

        def watch() -> None:
            try:
                main(["--config", str(config), "device", "watch", "--until-done", "--timeout", "60"])
            except SystemExit as ended:
                statuses.append(ended.code)

        watching = threading.Thread(target=watch)
        watching.start()
        eventually(lambda: shows(f"{second}  listing names"), 20)
        assert shows(f"{first}  batch 1/48")

        def tell(payload: dict[str, Any]) -> None:
            rows(database_url, "SELECT pg_notify('session_progress', %s)", json.dumps(payload))

        def tells_until(words: str, payload: dict[str, Any]) -> None:
            """Again and again: the first ones come before anybody listens."""
            end = time.monotonic() + 20
            while not shows(words):
                assert time.monotonic() < end
                tell(payload)
                time.sleep(0.1)

        tells_until(f"{second}  batch 23/48, 1150 of 2396 parameters", told(second, 23))
        rows(database_url, "SELECT pg_notify('session_progress', 'nonsense')")
        for device in (first, second):
            end_session(database_url, device)
            rows(database_url, "SELECT emit_device_event('discovery_finished', %s, '{}')", device)
        watching.join(20)
        assert not watching.is_alive()
        assert shows(f"{second}  finished, 2396 parameters")
        assert shows(f"{first}  finished")
        assert statuses == [0]

    def test_nothing_to_watch(self, run: Run, config: Path, database_url: str) -> None:
        device = add_device(database_url)
        begun = time.monotonic()
        assert run("--config", config, "device", "watch", "--until-done").status == 0
        assert run("--config", config, "device", "watch", device, "--until-done").status == 0
        assert run("--config", config, "device", "watch", "nobody").status == 4
        assert run("--config", config, "device", "watch", "--timeout", "0.5").status == 0
        assert time.monotonic() - begun < 20

    def test_bars_on_a_terminal(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        import click

        monkeypatch.setenv("COLUMNS", "160")
        with click.Context(device_watch.watch):
            show = device_watch._bars()
            show([Line(device_id="a", batch=15, batches=48, parameters=750, total=2396), Line(device_id="b")])
            show([Line(device_id="a", stage=Stage.FINISHED, batch=48, batches=48, parameters=2396)])
        out = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)
        assert "finished, 2396 parameters" in out
        assert "listing names" in out


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_table_fits_every_terminal(database_url: str, width: int) -> None:
    import io

    from rich.console import Console

    with Database(database_url) as database:
        devices = Devices(database)
        ids = [add_device(database_url, number, software_version="[red]V5\x1b[31m") for number in (1, 2)]
        devices.add_tags(ids[0], ("vip", "berlin"))
        begin_session(database_url, ids[1], discovery=tree(), batch=15, batches=48)
        found = devices.fetch_many(ids)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(device_table(found, width=width))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert all(len(line) <= width for line in shown.splitlines())
    for each in ids:
        assert each in shown
    assert "online" in shown
    assert "\x1b" not in shown
    if width == 200:
        for words in ("discovering 15/48", "[red]V5", "berlin vip", "192.0.2.1"):
            assert words in shown
