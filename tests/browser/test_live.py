"""What changes shows on an open page, and what somebody changes on a page reaches the device."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import expect

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.model_files import load_model
from agent.store.rows import Role
from tests.browser.conftest import Visit
from tests.browser.ground import Ground
from tests.store.farm import serial_of


def test_a_modem_that_goes_down_shows_within_a_second(visit: Visit, ground: Ground) -> None:
    serial = serial_of(2)
    visitor = visit(Role.VIEWER)
    visitor.open("/modems")
    row = visitor.page.get_by_role("row").filter(has_text=serial)
    expect(row).to_contain_text("online")
    visitor.wait_until_live()
    visitor.page.wait_for_timeout(500)
    begun = time.monotonic()
    ground.rows("UPDATE modems SET status = 'offline', reason = 'unplugged' WHERE serial = %s", serial)
    expect(row).to_contain_text("offline", timeout=1000)
    assert time.monotonic() - begun < 1.5
    ground.rows("UPDATE modems SET status = 'online', reason = '' WHERE serial = %s", serial)
    expect(row).to_contain_text("online")


def test_a_value_goes_to_the_device_and_comes_back(visit: Visit, ground: Ground) -> None:
    cpe = ground.meet()
    visitor = visit(Role.OPERATOR)
    page = visitor.page
    visitor.open("/devices")
    page.get_by_role("link", name=cpe.serial_number).click()
    page.get_by_role("link", name="Parameters").click()
    name = "InternetGatewayDevice.ManagementServer.PeriodicInformInterval"
    page.get_by_role("searchbox", name="Search paths and values").fill("PeriodicInformInterval")
    expect(page.locator("tr[data-name]")).to_have_count(1)
    row = page.locator(f"tr[data-name='{name}']")
    field = row.get_by_role("textbox")
    row.get_by_role("button").click()
    field.fill("many")
    field.press("Enter")
    expect(row.get_by_role("alert")).to_contain_text("whole number")
    field.fill("4711")
    field.press("Enter")
    expect(row).to_contain_text("pending")
    assert ground.run_session(cpe).completed
    assert cpe.tree.told_value(name) == "4711"
    expect(row.locator("[data-value]")).to_have_text("4711")
    expect(row).not_to_contain_text("pending")


def test_a_lost_connection_is_said_and_caught_up(visit: Visit, ground: Ground) -> None:
    serial = serial_of(3)
    visitor = visit(Role.VIEWER)
    visitor.expected = ("ERR_INTERNET_DISCONNECTED", "net::ERR")
    page = visitor.page
    visitor.open("/modems")
    row = page.get_by_role("row").filter(has_text=serial)
    visitor.wait_until_live()
    page.wait_for_timeout(500)
    visitor.context.set_offline(True)
    # Going offline leaves open connections alone: the browser is told as the operating system would tell it.
    page.evaluate("dispatchEvent(new Event('offline'))")
    ground.rows("UPDATE modems SET status = 'quarantined', reason = 'too many recoveries' WHERE serial = %s", serial)
    visitor.context.set_offline(False)
    expect(row).to_contain_text("quarantined")
    ground.rows("UPDATE modems SET status = 'online', reason = '' WHERE serial = %s", serial)


def test_a_discovery_moves_its_bar(visit: Visit, ground: Ground) -> None:
    # Slow enough to be seen.
    cpe = ground.make_cpe(model=load_model("tr098"), behaviour=Behaviour(answer_delay_seconds=0.4))
    visitor = visit(Role.VIEWER)
    visitor.open("/sessions")
    visitor.wait_until_live()
    with ThreadPoolExecutor(1) as pool:
        session = pool.submit(cpe.run_session)
        bar = visitor.page.locator("progress")
        expect(bar).to_be_visible()
        seen = []
        while not session.done():
            if bar.count():
                seen.append(int(bar.first.get_attribute("value") or 0))
            visitor.page.wait_for_timeout(100)
        assert session.result().completed
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    expect(bar).to_have_count(0)
