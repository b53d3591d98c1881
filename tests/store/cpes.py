"""Devices that talk TR-069, put into the database as the ACS does it, for tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.acs.discovery import Discovery, Origin, Profile
from agent.acs.identity import DeviceIdentity
from agent.store.database import Database
from agent.store.parameters import ModelMemory, ParameterWriter
from tests.store.farm import rows

OUI, PRODUCT_CLASS, MANUFACTURER = "00259E", "EG8145V5", "Huawei Technologies Co., Ltd"
INFORMED = {
    "InternetGatewayDevice.DeviceInfo.SoftwareVersion": "V5R019",
    "InternetGatewayDevice.ManagementServer.ParameterKey": "",
}


def serial_number_of(number: int) -> str:
    return f"48575443{number:08X}"


def device_id_of(number: int, product_class: str = PRODUCT_CLASS) -> str:
    return DeviceIdentity(oui=OUI, product_class=product_class, serial_number=serial_number_of(number)).device_id


def add_device(
    url: str,
    number: int = 1,
    *,
    product_class: str = PRODUCT_CLASS,
    state: str = "accepted",
    informed: Mapping[str, str] | None = None,
    age_seconds: float = 0.0,
    **columns: Any,
) -> str:
    """Register a device that has informed `age_seconds` ago, and return its id."""
    device_id = device_id_of(number, product_class)
    rows(
        url,
        "INSERT INTO device_models (oui, product_class) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        *(OUI, product_class),
    )
    values = {
        "manufacturer": MANUFACTURER,
        "serial_number": serial_number_of(number),
        "ip_address": f"192.0.2.{number % 250}",
        "connection_request_url": "http://192.0.2.1:7547/cr",
        "software_version": "V5R019",
        "hardware_version": "15AD.A",
        "inform_interval_seconds": 300,
        **columns,
    }
    names = ", ".join(values)
    places = ", ".join("%s" for _ in values)
    rows(
        url,
        f"INSERT INTO devices (device_id, oui, product_class, state, model_id, {names})"
        f" SELECT %s, %s, %s, %s, id, {places} FROM device_models WHERE product_class = %s",
        *(device_id, OUI, product_class, state, *values.values(), product_class),
    )
    rows(
        url,
        'INSERT INTO device_informs (device_id, at, events, "values")'
        " SELECT id, now() - make_interval(secs => %s), ARRAY['2 PERIODIC'], %s FROM devices WHERE device_id = %s",
        *(age_seconds, json.dumps(INFORMED if informed is None else informed), device_id),
    )
    return device_id


def key_of(url: str, device_id: str) -> tuple[int, int]:
    """A device's row and its model's."""
    ((device, model),) = rows(url, "SELECT id, model_id FROM devices WHERE device_id = %s", device_id)
    return device, model


def write_values(
    url: str,
    device_id: str,
    values: Mapping[str, str],
    types: Mapping[str, str] | None = None,
    writable: Mapping[str, bool] | None = None,
) -> None:
    """Store values as a discovery does."""
    device, model = key_of(url, device_id)
    writer = ParameterWriter(ModelMemory())
    with Database(url) as database, database.transaction() as connection:
        change = writer.write(connection, device, model, values, types or {})
        writer.add_to_count(connection, device, change)
        if writable:
            writer.learn_names(connection, device, model, writable)


def begin_session(
    url: str,
    device_id: str,
    *,
    discovery: Discovery | None = None,
    batch: int = 0,
    batches: int = 0,
    worker: str = "acs-1/100",
    wanted: bool = False,
) -> None:
    """A session under way."""
    state = {"phase": "pending_rpc", "discovery": discovery.render() if discovery else None}
    rows(
        url,
        "INSERT INTO cwmp_sessions (device_id, token, started_at, touched_at, worker, peer, events, state, discovery,"
        " batch, batches, parameters) SELECT id, 'token-of-a-session', now(), now(), %s, '192.0.2.7',"
        " ARRAY['0 BOOTSTRAP'], %s, %s, %s, %s, %s FROM devices WHERE device_id = %s",
        *(worker, json.dumps(state), wanted, batch, batches, batch * 50, device_id),
    )


def tree(task: int = 0) -> Discovery:
    """A whole tree being read: at first contact, or by a refreshObject."""
    plan = Discovery.of("", Profile(), Origin.CONTACT)
    return plan.for_task(task, 0) if task else plan


def end_session(url: str, device_id: str, outcome: str = "completed") -> None:
    """The end of the session under way."""
    device, _ = key_of(url, device_id)
    rows(
        url,
        "SELECT finish_session(device_id, token, sequence, 3, %s, '') FROM cwmp_sessions WHERE device_id = %s",
        outcome,
        device,
    )


def finish_task(url: str, task: int, result: Mapping[str, Any] | None = None) -> None:
    rows(
        url,
        "UPDATE tasks SET status = 'completed', completed_at = now(), result = %s WHERE id = %s",
        *(json.dumps(result or {}), task),
    )


def fail_task(
    url: str,
    task: int,
    code: str,
    message: str,
    wait_seconds: float | None = None,
    parameters: Sequence[Mapping[str, str]] = (),
) -> None:
    """What the session machine does with a fault: back into the queue for a while, or the end."""
    detail = {"parameters": list(parameters)} if parameters else {}
    rows(
        url,
        "INSERT INTO faults (device_id, channel, code, message, detail, retry_at)"
        " SELECT device_id, 'task_' || id, %s, %s, %s, now() + make_interval(secs => %s::double precision) FROM tasks"
        " WHERE id = %s ON CONFLICT DO NOTHING",
        *(code, message, json.dumps(detail), wait_seconds, task),
    )
    rows(url, "UPDATE tasks SET status = 'sent' WHERE id = %s", task)
    rows(
        url,
        "UPDATE tasks SET status = CASE WHEN %s::double precision IS NULL THEN 'failed' ELSE 'pending' END,"
        " not_before = coalesce(now() + make_interval(secs => %s::double precision), not_before),"
        " fault_code = %s, fault_message = %s WHERE id = %s",
        *(wait_seconds, wait_seconds, code, message, task),
    )


class Answering:
    """Does something to every task that turns up, as a device would, until it is stopped."""

    def __init__(self, url: str, react: Callable[[int, str], object]) -> None:
        self.seen: list[tuple[int, str]] = []
        self._url = url
        self._react = react
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        done: set[int] = set()
        while not self._stopping.is_set():
            for task, kind in rows(self._url, "SELECT id, kind FROM tasks WHERE status = 'pending' ORDER BY id"):
                if task not in done:
                    done.add(task)
                    self.seen.append((task, kind))
                    self._react(task, kind)
            time.sleep(0.02)
