"""`lastmile device`: what is known of devices, what they are asked, and what a shell sees of it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent.cli import exits
from tests.cli.conftest import Run, write_config
from tests.store.cpes import (
    Answering,
    add_device,
    begin_session,
    end_session,
    fail_task,
    finish_task,
    serial_number_of,
    tree,
    write_values,
)
from tests.store.farm import rows

ROOT = "InternetGatewayDevice."
Work = Callable[[int, str], object]
NEEDS_DATABASE = (
    ("device", "list"),
    ("device", "show", "x"),
    ("device", "params", "x"),
    ("device", "get", "x", "Device."),
    ("device", "tasks", "x"),
    ("device", "watch", "--until-done"),
    ("device", "accept", "x"),
    ("credential", "list"),
    ("file", "list"),
)


@pytest.fixture
def device(database_url: str) -> str:
    return add_device(database_url)


@pytest.fixture
def answering(database_url: str) -> Iterator[Callable[[Work], Answering]]:
    running: list[Answering] = []

    def begin(react: Work) -> Answering:
        running.append(Answering(database_url, react))
        return running[-1]

    yield begin
    for each in running:
        each.stop()


@pytest.mark.parametrize("arguments", NEEDS_DATABASE, ids=" ".join)
def test_an_unreachable_database_is_one_line_and_status_69(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    url = f"postgresql://someone:geheim@/lastmile?host={tmp_path}"
    told = run("--config", write_config(tmp_path / "lastmile.toml", url), *arguments)
    assert (told.status, told.out) == (exits.UNAVAILABLE, "")
    assert told.err.startswith("lastmile: ")
    assert "geheim" not in told.err


class TestLooking:
    def test_list(self, run: Run, config: Path, database_url: str) -> None:
        assert "No device has informed yet" in run("--config", config, "device", "list").out
        ids = [add_device(database_url, number, age_seconds=number * 400.0) for number in (1, 2, 3)]
        begin_session(database_url, ids[2], discovery=tree(), batch=15, batches=48)
        listed = json.loads(run("--config", config, "device", "list", "--json").out)
        assert [each["device_id"] for each in listed] == ids
        assert listed[0]["session"]["status"] == "idle"
        table = run("--config", config, "device", "list").out
        for words in (*ids, "online", "offline", "discovering 15/48", "192.0.2.1"):
            assert words in table
        assert "\x1b" not in table

    def test_filters(self, run: Run, config: Path, database_url: str) -> None:
        ids = [add_device(database_url, number, age_seconds=number * 400.0) for number in (1, 2, 3)]
        run("--config", config, "device", "tag", ids[1], "vip")
        write_values(database_url, ids[2], {f"{ROOT}A.B": "x=y"})

        def found(*arguments: str) -> list[str]:
            return [
                each["device_id"]
                for each in json.loads(run("--config", config, "device", "list", "--json", *arguments).out)
            ]

        assert found("--online") == [ids[0]]
        assert found("--offline", "--desc") == [ids[2], ids[1]]
        assert found("--tag", "vip") == [ids[1]]
        assert found("--parameter", f"{ROOT}A.B=x=y") == [ids[2]]
        assert found("--serial", serial_number_of(2)) == [ids[1]]
        assert found("--state", "held", "--state", "refused") == []
        assert found("--sort", "last_inform", "--limit", "2") == [ids[2], ids[1]]
        assert "2 of 3 devices" in run("--config", config, "device", "list", "--limit", "2").out
        assert run("--config", config, "device", "list", "--parameter", "nonsense").status == exits.USAGE

    def test_show_by_id_and_by_serial_number(self, run: Run, config: Path, database_url: str, device: str) -> None:
        for name in (device, serial_number_of(1)):
            told = run("--config", config, "device", "show", name)
            assert told.status == 0
            assert told.out.startswith("device_id ")
            assert device in told.out
        assert json.loads(run("--config", config, "device", "show", device, "--json").out)["device_id"] == device
        missing = run("--config", config, "device", "show", "nobody")
        assert (missing.status, missing.out) == (exits.NOT_FOUND, "")
        assert "lastmile device list" in missing.err
        add_device(database_url, 1, product_class="Another")
        several = run("--config", config, "device", "show", serial_number_of(1))
        assert several.status == exits.FAILURE
        assert device in several.err

    def test_params(self, run: Run, config: Path, database_url: str, device: str) -> None:
        values = {f"{ROOT}Host.{number}.Name": f"host {number}\x1b[31m" for number in (10, 2)}
        write_values(database_url, device, values, writable={f"{ROOT}Host.2.Name": True})
        told = run("--config", config, "device", "params", device, f"{ROOT}Host.")
        assert [line.split()[:2] for line in told.out.splitlines()] == [
            [f"{ROOT}Host.2.Name", "w"],
            [f"{ROOT}Host.10.Name", "w"],
        ]
        assert "\x1b" not in told.out
        listed = json.loads(run("--config", config, "device", "params", device, f"{ROOT}Host.2", "--json").out)
        assert [(each["name"], each["writable"]) for each in listed] == [(f"{ROOT}Host.2.Name", True)]
        assert run("--config", config, "device", "params", device, "--since", "2999-01-01").out == ""
        assert run("--config", config, "device", "params", device, "--since", "2020-01-01").out != ""


class TestAsking:
    def test_get_prints_what_the_device_says(
        self, run: Run, config: Path, database_url: str, device: str, answering: Callable[[Work], Answering]
    ) -> None:
        values = {f"{ROOT}DeviceInfo.UpTime": "86400", f"{ROOT}DeviceInfo.Note": "a\x1bb"}
        agent = answering(lambda task, _kind: finish_task(database_url, task, {"count": 2, "values": values}))
        told = run("--config", config, "device", "get", device, f"{ROOT}DeviceInfo.")
        assert (told.status, told.err) == (0, "")
        assert [line.split() for line in told.out.splitlines()] == [
            [f"{ROOT}DeviceInfo.Note", "a\N{REPLACEMENT CHARACTER}b"],
            [f"{ROOT}DeviceInfo.UpTime", "86400"],
        ]
        assert [kind for _, kind in agent.seen] == ["getParameterValues"]
        ((state, by),) = rows(database_url, "SELECT state, requested_by FROM connection_requests")
        assert state == "pending"
        assert by.startswith("cli:")
        ((action, target, details),) = rows(database_url, "SELECT action, target, details FROM audit_log")
        assert (action, target, details) == (
            "device.task.getParameterValues",
            device,
            {"names": [f"{ROOT}DeviceInfo."]},
        )
        shown = json.loads(run("--config", config, "device", "get", device, f"{ROOT}X", "--json").out)
        assert (shown["status"], shown["result"]["values"]) == ("completed", values)

    def test_get_of_more_than_the_result_holds(
        self, run: Run, config: Path, database_url: str, device: str, answering: Callable[[Work], Answering]
    ) -> None:
        write_values(database_url, device, {f"{ROOT}Host.{number}.Name": str(number) for number in range(1, 4)})
        answering(lambda task, _kind: finish_task(database_url, task, {"count": 3}))
        told = run("--config", config, "device", "get", device, f"{ROOT}Host.", f"{ROOT}Host.1.Name")
        assert [line.split()[-1] for line in told.out.splitlines()] == ["1", "2", "3"]

    @pytest.mark.parametrize(
        ("arguments", "kind", "asked", "result", "out"),
        [
            (
                ("set", f"{ROOT}A.B=x=y", f"{ROOT}A.C="),
                "setParameterValues",
                {"values": [{"name": f"{ROOT}A.B", "value": "x=y"}, {"name": f"{ROOT}A.C", "value": ""}]},
                {"status": 0},
                "The device has set it.\n",
            ),
            (
                ("set", f"{ROOT}A.B=5", "--type", "unsignedInt"),
                "setParameterValues",
                {"values": [{"name": f"{ROOT}A.B", "value": "5", "type": "unsignedInt"}]},
                {"status": 1},
                "The device has taken it, and applies it later.\n",
            ),
            (("refresh",), "refreshObject", {"path": ""}, {"count": 2396, "missing": 0}, "Parameters read: 2396.\n"),
            (
                ("refresh", "Device.Hosts."),
                "refreshObject",
                {"path": "Device.Hosts."},
                {"count": 3, "missing": 1},
                "Parameters read: 3; 1 were listed and not given.\n",
            ),
            (("reboot",), "reboot", {}, {}, "The device restarts.\n"),
            (("factory-reset", "--yes"), "factoryReset", {}, {}, "The device resets itself.\n"),
            (
                ("add-object", "Device.NAT.PortMapping."),
                "addObject",
                {"path": "Device.NAT.PortMapping."},
                {"path": "Device.NAT.PortMapping.7.", "instance": 7},
                "Device.NAT.PortMapping.7.\n",
            ),
            (
                ("delete-object", "Device.NAT.PortMapping.7."),
                "deleteObject",
                {"path": "Device.NAT.PortMapping.7."},
                {"status": 0},
                "The device has removed it.\n",
            ),
            (
                ("download", "--url", "http://192.0.2.9/fw.bin"),
                "download",
                {"url": "http://192.0.2.9/fw.bin", "file_type": "1 Firmware Upgrade Image"},
                {},
                "The device has fetched and applied it.\n",
            ),
            (
                ("upload", "--type", "2 Vendor Log File"),
                "upload",
                {"file_type": "2 Vendor Log File"},
                {"file": "log-7"},
                "The device has sent log-7.\n",
            ),
        ],
    )
    def test_every_order(
        self,
        run: Run,
        config: Path,
        database_url: str,
        device: str,
        answering: Callable[[Work], Answering],
        arguments: tuple[str, ...],
        kind: str,
        asked: dict[str, Any],
        result: dict[str, Any],
        out: str,
    ) -> None:
        answering(lambda task, _kind: finish_task(database_url, task, result))
        name, *rest = arguments
        told = run("--config", config, "device", name, device, *rest)
        assert (told.status, told.out, told.err) == (0, out, "")
        ((seen, given),) = rows(database_url, "SELECT kind, arguments FROM tasks")
        assert seen == kind
        assert asked.items() <= given.items()

    def test_a_value_is_in_no_log(
        self, run: Run, config: Path, database_url: str, device: str, answering: Callable[[Work], Answering]
    ) -> None:
        answering(lambda task, _kind: finish_task(database_url, task, {}))
        told = run("--config", config, "device", "set", device, "Device.WiFi.KeyPassphrase=geheim", "--json")
        assert told.status == 0
        assert "geheim" not in told.out + told.err
        assert "geheim" not in run("--config", config, "device", "tasks", device, "--json").out
        assert rows(database_url, "SELECT count(*) FROM audit_log WHERE details::text LIKE '%%geheim%%'") == [(0,)]

    def test_a_refusal(
        self, run: Run, config: Path, database_url: str, device: str, answering: Callable[[Work], Answering]
    ) -> None:
        single = {"name": "Device.X", "code": "9005", "message": "Invalid parameter\x1b name"}
        answering(lambda task, _kind: fail_task(database_url, task, "9003", "Invalid", parameters=(single,)))
        told = run("--config", config, "device", "set", device, "Device.X=1")
        assert (told.status, told.out) == (exits.REFUSED, "")
        single_fault = "Device.X: 9005 Invalid parameter\N{REPLACEMENT CHARACTER} name"
        assert told.err == f"lastmile: the device refused: 9003: Invalid; {single_fault}\n"

    def test_a_refusal_that_is_tried_again(
        self, run: Run, config: Path, database_url: str, device: str, answering: Callable[[Work], Answering]
    ) -> None:
        answering(lambda task, _kind: fail_task(database_url, task, "9001", "Request denied", 300))
        begun = time.monotonic()
        told = run("--config", config, "device", "reboot", device)
        assert time.monotonic() - begun < 10
        assert told.status == exits.REFUSED
        assert "is tried again at 20" in told.err
        listed = run("--config", config, "device", "tasks", device).out
        assert "9001: Request denied (again at" in listed
        fault = json.loads(run("--config", config, "device", "faults", device, "--json").out)[0]
        assert "9001: Request denied" in run("--config", config, "device", "faults").out
        assert run("--config", config, "device", "retry", str(fault["id"])).status == 0
        assert run("--config", config, "device", "retry", str(fault["id"])).status == exits.NOT_FOUND
        assert rows(database_url, "SELECT not_before <= now() FROM tasks") == [(True,)]

    def test_a_device_that_is_not_woken(self, run: Run, config: Path, database_url: str, device: str) -> None:
        told = run("--config", config, "device", "reboot", device, "--timeout", "0.5")
        assert told.status == exits.TEMPORARY
        assert "is lastmile-worker running?" in told.err
        assert "stays in the queue" in told.err
        assert rows(database_url, "SELECT status FROM tasks") == [("pending",)]
        rows(database_url, "UPDATE connection_requests SET attempts = 1, reason = 'HTTP 401'")
        told = run("--config", config, "device", "reboot", device, "--timeout", "0.5")
        assert "has not done it in time (HTTP 401)" in told.err

    def test_a_device_that_cannot_be_woken(
        self, run: Run, config: Path, database_url: str, device: str, answering: Callable[[Work], Answering]
    ) -> None:
        fail = "UPDATE connection_requests SET state = 'failed', reason = 'no route', finished_at = now()"
        answering(lambda _task, _kind: rows(database_url, fail))
        told = run("--config", config, "device", "reboot", device)
        assert told.status == exits.UNAVAILABLE
        assert "could not be woken: no route" in told.err

    def test_without_waiting(self, run: Run, config: Path, database_url: str, device: str) -> None:
        told = run("--config", config, "device", "reboot", device, "--no-wait")
        assert told.status == 0
        assert "waits for the device's next session" in told.out
        assert rows(database_url, "SELECT count(*) FROM connection_requests") == [(0,)]
        shown = json.loads(run("--config", config, "device", "refresh", device, "--no-wait", "--json").out)
        assert shown["status"] == "pending"
        (refresh, reboot) = json.loads(run("--config", config, "device", "tasks", device, "--json").out)
        assert (refresh["kind"], reboot["kind"]) == ("refreshObject", "reboot")
        assert run("--config", config, "device", "cancel", device, str(reboot["id"])).out == "The task is cancelled.\n"
        assert run("--config", config, "device", "cancel", device, str(reboot["id"])).status == exits.FAILURE
        assert run("--config", config, "device", "cancel", device, "99999").status == exits.NOT_FOUND
        listed = run("--config", config, "device", "tasks", device, "--status", "cancelled").out
        assert "reboot" in listed
        assert "refreshObject" not in listed

    def test_a_transfer_that_has_begun(
        self, run: Run, config: Path, database_url: str, device: str, answering: Callable[[Work], Answering]
    ) -> None:
        begin = "UPDATE tasks SET status = 'sent', awaits_transfer = true"
        answering(lambda _task, _kind: rows(database_url, begin))
        told = run("--config", config, "device", "upload", device, "--timeout", "1")
        assert told.status == 0
        assert "has begun the transfer" in told.out

    @pytest.mark.parametrize(
        ("arguments", "status", "words"),
        [
            (("set", "{device}", "Device.X"), exits.USAGE, "is not PATH=VALUE"),
            (("set", "{device}", "Device.=x"), exits.USAGE, "is not the path of a parameter"),
            (("get", "{device}", "1 2"), exits.USAGE, "is not a path"),
            (("add-object", "{device}", "Device.X"), exits.USAGE, "must end with a dot"),
            (("download", "{device}"), exits.USAGE, "give either file"),
            (("download", "{device}", "gone.bin"), exits.NOT_FOUND, "lastmile file list"),
            (("get", "nobody", "Device."), exits.NOT_FOUND, "there is no device 'nobody'"),
            (("tag", "{device}", "a b"), exits.USAGE, "a tag has"),
            (("wake", "nobody"), exits.NOT_FOUND, "there is no device"),
        ],
    )
    def test_what_makes_no_sense(
        self,
        run: Run,
        config: Path,
        database_url: str,
        device: str,
        arguments: tuple[str, ...],
        status: int,
        words: str,
    ) -> None:
        told = run("--config", config, "device", *(each.format(device=device) for each in arguments))
        assert (told.status, told.out) == (status, "")
        assert words in told.err
        assert "Traceback" not in told.err
        assert rows(database_url, "SELECT count(*) FROM tasks") == [(0,)]

    def test_waking(self, run: Run, config: Path, database_url: str, device: str) -> None:
        assert run("--config", config, "device", "wake", device, "--timeout", "0.5").status == exits.TEMPORARY
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "CREATE FUNCTION do_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.state := 'done';"
                " NEW.finished_at := now(); RETURN NEW; END $$"
            )
            connection.execute(
                "CREATE TRIGGER do_it BEFORE INSERT OR UPDATE ON connection_requests FOR EACH ROW"
                " EXECUTE FUNCTION do_it()"
            )
        told = run("--config", config, "device", "wake", device)
        assert (told.status, told.out) == (0, "The device has begun a session.\n")


class TestDeciding:
    def test_accept_refuse_tag_and_delete(self, run: Run, config: Path, database_url: str) -> None:
        device = add_device(database_url, state="held")
        assert "held" in run("--config", config, "device", "list").out
        assert run("--config", config, "device", "accept", device).out == "The device is let in.\n"
        assert run("--config", config, "device", "refuse", device).status == 0
        assert rows(database_url, "SELECT state FROM devices") == [("refused",)]
        assert run("--config", config, "device", "tag", device, "b", "a").out == "a\nb\n"
        assert run("--config", config, "device", "tag", device, "c", "--remove", "a").out == "b\nc\n"
        assert run("--config", config, "device", "tag", device).out == "b\nc\n"
        begin_session(database_url, device)
        busy = run("--config", config, "device", "delete", device, "--yes")
        assert (busy.status, "session under way" in busy.err) == (exits.REFUSED, True)
        end_session(database_url, device)
        assert run("--config", config, "device", "delete", device, "--yes").status == 0
        assert run("--config", config, "device", "delete", device, "--yes").status == exits.NOT_FOUND
        actions = [row[0] for row in rows(database_url, "SELECT action FROM audit_log ORDER BY id")]
        assert actions == [
            "device.accepted",
            "device.refused",
            "device.tags.add",
            "device.tags.remove",
            "device.tags.add",
            "device.delete",
            "device.delete",
        ]

    def test_nothing_is_destroyed_unasked(
        self, run: Run, config: Path, database_url: str, device: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("delete", "factory-reset"):
            monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
            assert run("--config", config, "device", name, device).status == exits.FAILURE
        assert rows(database_url, "SELECT count(*) FROM devices") == [(1,)]
        assert rows(database_url, "SELECT count(*) FROM tasks") == [(0,)]


class TestCredentials:
    def test_from_adding_to_removing(
        self, run: Run, config: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "There is no credential yet" in run("--config", config, "credential", "list").out
        made = run("--config", config, "credential", "add", "cpe-1", "--generate", "--device", "A-B-C")
        assert len(made.out.strip()) == 24
        monkeypatch.setattr("sys.stdin", io.StringIO("geheim\nmore\n"))
        told = run("--config", config, "credential", "add", "cpe-2", "--password-stdin")
        assert (told.status, told.out) == (0, "The CPE may log in as cpe-2.\n")
        listed = json.loads(run("--config", config, "credential", "list", "--json").out)
        assert [(each["username"], each["device_id"]) for each in listed] == [("cpe-1", "A-B-C"), ("cpe-2", None)]
        assert "any device" in run("--config", config, "credential", "list").out
        again = run("--config", config, "credential", "add", "cpe-1", "--generate")
        assert (again.status, again.out) == (exits.USAGE, "")
        assert run("--config", config, "credential", "remove", "cpe-1").status == 0
        assert run("--config", config, "credential", "remove", "cpe-1").status == exits.NOT_FOUND
        assert run("--config", config, "credential", "add", "a:b", "--generate").status == exits.USAGE
        both = run("--config", config, "credential", "add", "x", "--generate", "--password-stdin")
        assert both.status == exits.USAGE
        audit = str(rows(database_url, "SELECT action, details FROM audit_log"))
        assert "geheim" not in audit
        assert made.out.strip() not in audit


class TestFiles:
    def test_from_adding_to_removing(self, run: Run, tmp_path: Path, database_url: str) -> None:
        shelf = tmp_path / "shelf"
        config = write_config(
            tmp_path / "lastmile.toml", database_url, f'[acs]\nfile_dir = "{shelf}"\nfile_bytes_most = 2000\n'
        )
        image = tmp_path / "V5 R020.bin"
        image.write_bytes(b"x" * 1536)
        assert "There is no file yet" in run("--config", config, "file", "list").out
        told = run("--config", config, "file", "add", image, "--oui", "00259E", "--version", "R020")
        assert told.status == 0
        assert told.out.startswith("V5_R020.bin: 1.5 KiB, sha256 ")
        assert [path.read_bytes() for path in shelf.iterdir()] == [b"x" * 1536]
        assert run("--config", config, "file", "add", image).status == exits.USAGE
        assert run("--config", config, "file", "add", image, "--name", "other").status == 0
        listed = json.loads(run("--config", config, "file", "list", "--json").out)
        assert [(each["name"], each["version"]) for each in listed] == [("V5_R020.bin", "R020"), ("other", "")]
        assert "any device" in run("--config", config, "file", "list", "--kind", "1").out
        image.write_bytes(b"x" * 2001)
        large = run("--config", config, "file", "add", image, "--name", "large")
        assert (large.status, "acs.file_bytes_most" in large.err) == (exits.USAGE, True)
        device = add_device(database_url)
        assert run("--config", config, "device", "download", device, "other", "--no-wait").status == 0
        assert run("--config", config, "file", "remove", "other").status == exits.REFUSED
        assert run("--config", config, "file", "remove", "V5_R020.bin").status == 0
        assert run("--config", config, "file", "remove", "V5_R020.bin").status == exits.NOT_FOUND
        assert run("--config", config, "file", "add", tmp_path / "missing").status == exits.USAGE
