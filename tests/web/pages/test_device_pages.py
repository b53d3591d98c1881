"""Pages about devices: what devices and people wrote stays text, filters are addresses, who may not does not see."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from agent.web.pages.device_formats import pretty_xml
from agent.web.pages.device_list import adopt_forms, short_of
from agent.web.services import Services
from tests.store.cpes import add_device, begin_session, fail_task, tree, write_values
from tests.store.farm import rows
from tests.web.conftest import Headers

ROOT = "InternetGatewayDevice."
SSID = f"{ROOT}LANDevice.1.WLANConfiguration.1.SSID"
SECRET = f"{ROOT}LANDevice.1.WLANConfiguration.1.KeyPassphrase"
EVIL = "<script>alert('x')</script>\"'&"
HTML = {"Accept": "text/html"}


@pytest.fixture
def device(url: str) -> str:
    device = add_device(url, 1, manufacturer=EVIL, product_class=EVIL, software_version=EVIL)
    write_values(url, device, {SSID: EVIL, SECRET: "sesame"}, writable={SSID: True})
    return device


def page(client: FlaskClient, headers: Headers, path: str) -> str:
    response = client.get(path, headers={**headers, **HTML})
    assert response.status_code == 200, response.get_data(as_text=True)[:500]
    text = response.get_data(as_text=True)
    assert "<script>alert" not in text
    return text


def pages_of(device: str) -> list[str]:
    base = f"/devices/{quote(device, safe='')}"
    parts = ["_head", "_progress", "_summary", "parameters", "parameters/_list", "tasks", "tasks/_list", "faults"]
    parts += ["faults/_list", "sessions", "sessions/_list"]
    return [base, *(f"{base}/{part}" for part in parts)]


LISTS = ["/devices", "/devices/_list", "/sessions", "/sessions/_open", "/sessions/_past", "/faults", "/faults/_list"]
LISTS += ["/files", "/files/_list", f"/devices?columns={SSID}&where={quote(SSID + '~script')}&sort={SSID}"]


def test_every_page_shows_what_a_hostile_device_says_as_text(
    client: FlaskClient, viewer: Headers, admin: Headers, services: Services, device: str, url: str
) -> None:
    task = 0
    for _ in range(2):
        task = rows(
            url,
            "INSERT INTO tasks (device_id, kind, priority, expires_at, arguments) SELECT id, 'setParameterValues', 1,"
            " now() + interval '1 h', jsonb_build_object('values', jsonb_build_array(jsonb_build_object("
            "'name', %s::text, 'value', %s::text))) FROM devices WHERE device_id = %s RETURNING id",
            *(SSID, EVIL, device),
        )[0][0]
    fail_task(url, task, EVIL, EVIL, parameters=[{"name": EVIL, "code": EVIL, "message": EVIL}])
    begin_session(url, device, discovery=tree(), batch=1, batches=3, worker=EVIL)
    for headers in (viewer, admin):
        for path in [*LISTS, *pages_of(device)]:
            page(client, headers, path)
    assert "1 of 3" in page(client, viewer, pages_of(device)[2])
    assert "&lt;script&gt;" in page(client, viewer, f"{pages_of(device)[0]}/parameters?q=ssid")


def test_who_may_not_change_sees_no_way_to_and_no_secret(
    client: FlaskClient, viewer: Headers, operator: Headers, device: str
) -> None:
    path = f"/devices/{quote(device, safe='')}/parameters"
    seen = page(client, viewer, path)
    assert "sesame" not in seen
    assert "data-edit" not in seen
    assert page(client, operator, path).count("data-edit") == 1
    assert "sesame" in page(client, operator, path)
    assert page(client, viewer, f"{path}?q=sesame").count("<tr") == 0
    for each in [*LISTS, *pages_of(device)]:
        assert "data-action" not in page(client, viewer, each), each


def test_nobody_is_sent_to_sign_in(client: FlaskClient, device: str) -> None:
    for path in [*LISTS, *pages_of(device)]:
        assert client.get(path, headers=HTML).status_code in (303, 401)


def test_what_is_not_there_is_told_so(client: FlaskClient, viewer: Headers, device: str) -> None:
    for path in ("/devices/nobody", "/devices/nobody/parameters", f"{pages_of(device)[0]}/sessions/none"):
        assert client.get(path, headers={**viewer, **HTML}).status_code == 404
    for path in ("/devices?where=x", "/devices?sort=x", "/devices?nonsense=1", "/sessions?cursor=x"):
        assert client.get(path, headers={**viewer, **HTML}).status_code == 400


def test_a_form_adds_a_condition_and_a_column_to_the_address(client: FlaskClient, viewer: Headers) -> None:
    response = client.get("/devices?q=a&path=Device.X.1.Y&op=~&value=b%26c", headers={**viewer, **HTML})
    assert response.status_code == 303
    assert response.headers["Location"] == "/devices?q=a&where=Device.X.1.Y~b%26c"
    assert adopt_forms("columns=D.A,D.B&column=D.C&cursor=x") == "/devices?columns=D.A%2CD.B%2CD.C"
    assert adopt_forms("path=D.A&op=%3F&value=left") == "/devices?where=D.A%3F"
    assert adopt_forms("q=a&path=&op=%3D&value=") == "/devices?q=a"
    assert adopt_forms("q=a") is None


def test_paths_are_suggested(client: FlaskClient, viewer: Headers, url: str) -> None:
    write_values(url, add_device(url), {SSID: "x"}, types={SSID: "string"})
    text = page(client, viewer, "/devices/_paths?q=wlan")
    assert re.findall(r'value="([^"]*)"', text) == [SSID.replace(".1.", ".*.")]
    assert page(client, viewer, "/devices/_paths?q=100%25").strip() == ""


def test_a_change_shows_in_its_row_until_it_is_done(
    client: FlaskClient, operator: Headers, device: str, url: str
) -> None:
    path = f"/api/v1/devices/{quote(device, safe='')}/parameters"
    assert client.put(path, json={SSID: "new"}, headers=operator).status_code == 202
    shown = f"/devices/{quote(device, safe='')}/parameters/_list?q=ssid"
    assert "→ new" in page(client, operator, shown)
    rows(url, "UPDATE tasks SET status = 'completed', completed_at = now()")
    assert "→ new" not in page(client, operator, shown)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Device.DeviceInfo.UpTime", "UpTime"),
        ("Device.WiFi.SSID.1.SSID", "SSID.1.SSID"),
        ("Device.WiFi.SSID.*.SSID", "SSID.*.SSID"),
        ("Device.A.B.C", "B.C"),
    ],
)
def test_paths_are_shortened(path: str, expected: str) -> None:
    assert short_of(path) == expected


def test_xml_is_written_in_lines_and_nothing_else_is_touched() -> None:
    assert pretty_xml("<a><b>x &lt; y</b><c/><d></d></a>") == "<a>\n  <b>x &lt; y</b>\n  <c/>\n  <d></d>\n</a>"
    assert pretty_xml("no <xml>") == "no <xml>"
    assert pretty_xml("<a>cut in the mid") == "<a>cut in the mid"
