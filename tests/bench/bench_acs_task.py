"""How long after a device's answer its task is finished, as one who listens hears it."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterator

import psycopg

from agent.acs.tasks import PRIORITIES
from agent.core.clock import Deadline
from tests.acs.soap.wire import value
from tests.acs_live.messages import device_id_of, inform, rpc
from tests.acs_live.raw import Raw, soap_post
from tests.bench.acs_ground import Ground
from tests.bench.figures import Figure

TIMES = 100
NAME = "Device.DeviceInfo.UpTime"
SERIAL = "BENCHTASK"
GOAL_MS = 50.0
WAIT_SECONDS = 10.0


def measure(floor: Ground, benchmark: str) -> Iterator[Figure]:
    """From the last byte of the answer on its way to the notification that says `completed`."""
    with (
        floor.acs(workers=1) as (url, _pid),
        Raw(int(url.rstrip("/").rpartition(":")[2])) as cpe,
        psycopg.connect(floor.url, autocommit=True) as listener,
    ):
        _ask(cpe, inform(SERIAL, ["1 BOOT"]))
        floor.execute(f"UPDATE devices SET discovery_wanted = false WHERE device_id = '{device_id_of(SERIAL)}'")
        floor.execute("DELETE FROM cwmp_sessions")
        listener.execute("LISTEN task_change")
        taken = sorted(_task(floor, cpe, listener) for _ in range(TIMES))
    worst = taken[-1] * 1000
    note = f"median {statistics.median(taken) * 1000:.1f} ms of {TIMES}"
    yield Figure(
        benchmark=benchmark,
        name="an answer to its task completed, worst",
        value=worst,
        unit="ms",
        goal=GOAL_MS,
        note=note,
    )


def _task(floor: Ground, cpe: Raw, listener: psycopg.Connection[tuple[object, ...]]) -> float:
    number = floor.fetch(
        "INSERT INTO tasks (device_id, kind, arguments, priority, expires_at)"
        f""" SELECT id, 'getParameterValues', '{{"names": ["{NAME}"]}}', {PRIORITIES["getParameterValues"]},"""
        f" now() + interval '1 hour' FROM devices WHERE device_id = '{device_id_of(SERIAL)}' RETURNING id"
    )
    _status, cookie, _text = _ask(cpe, inform(SERIAL))
    _status, _cookie, text = _ask(cpe, b"", cookie)
    found = re.search(r"ID[^>]*>([^<]+)<", text)
    assert found, text
    listed = f"<ParameterList>{value(NAME, '<Value>1</Value>')}</ParameterList>"
    answer = rpc(f"<cwmp:GetParameterValuesResponse>{listed}</cwmp:GetParameterValuesResponse>", found[1])
    begun = time.monotonic()
    cpe.send(soap_post(answer, {"Cookie": cookie}))
    deadline = Deadline.after(WAIT_SECONDS)
    while not deadline.passed:
        for heard in listener.notifies(timeout=deadline.remaining_seconds, stop_after=1):
            told = json.loads(heard.payload)
            if told["task"] == number and told["status"] == "completed":
                taken = time.monotonic() - begun
                ended = cpe.answer()
                assert ended is not None
                assert ended.status == 204
                return taken
    raise AssertionError("nobody says that the task is done")


def _ask(cpe: Raw, body: bytes, cookie: str = "") -> tuple[int, str, str]:
    answer = cpe.ask(soap_post(body, {"Cookie": cookie} if cookie else {}))
    assert answer is not None
    assert answer.status == 200, answer
    return answer.status, (answer.header("set-cookie") or "").partition(";")[0], answer.text
