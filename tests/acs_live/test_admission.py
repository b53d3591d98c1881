"""Devices that were never seen: accepted, held, refused, or too many of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from agent.sim.cpe.records import Outcome
from tests.acs_live.conftest import Grounds
from tests.acs_live.cpes import clean, told_values
from tests.acs_live.messages import device_id_of, inform, new_serial
from tests.acs_live.raw import ask, soap_post
from tests.acs_live.seen import SeenTable, told

LIMIT = 5


def test_a_new_device_is_held_until_an_operator_accepts_it(grounds: Grounds, seen: SeenTable) -> None:
    with grounds(new_devices="hold") as ground:
        answer = ask(ground.acs.port, soap_post(inform(new_serial())))
        seen.note("a new device, with acs.new_devices = hold", told(answer))
        cpe = ground.make_cpe()
        for _ in range(2):
            report = cpe.run_session()
            assert (report.outcome, report.statuses) == (Outcome.REFUSED, (403,))
        assert ground.records.state(cpe.device_id) == "held"
        assert [kind for kind, _ in ground.records.events(cpe.device_id)] == ["device_held"], "said once"
        assert not ground.records.is_in_session(cpe.device_id)
        ground.records.rows("UPDATE devices SET state = 'accepted' WHERE device_id = %s", cpe.device_id)
        assert clean(cpe.run_session())
        assert ground.records.values(cpe.device_id) == told_values(cpe)
        ground.records.rows("UPDATE devices SET state = 'refused' WHERE device_id = %s", cpe.device_id)
        assert cpe.run_session().statuses == (403,)


def test_a_new_device_is_refused_and_not_even_noted(grounds: Grounds, seen: SeenTable) -> None:
    with grounds(new_devices="refuse") as ground:
        answer = ask(ground.acs.port, soap_post(inform(new_serial())))
        seen.note("a new device, with acs.new_devices = refuse", told(answer))
        cpe = ground.make_cpe()
        assert cpe.run_session().statuses == (403,)
        assert not ground.records.is_known(cpe.device_id)


def test_so_many_new_devices_in_a_minute_and_no_more(grounds: Grounds, seen: SeenTable) -> None:
    with grounds(new_devices_per_minute=LIMIT, workers=2) as ground:
        serials = [new_serial() for _ in range(4 * LIMIT)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda serial: ask(ground.acs.port, soap_post(inform(serial))), serials))
        statuses = [answer.status for answer in answers]
        assert (statuses.count(200), statuses.count(503)) == (LIMIT, 3 * LIMIT), "a burst does not pass it together"
        assert {answer.header("retry-after") for answer in answers if answer.status == 503} == {"60"}
        seen.note(
            "more new devices in a minute than acs.new_devices_per_minute",
            told(next(answer for answer in answers if answer.status == 503)),
        )
        known = [serial for serial in serials if ground.records.is_known(device_id_of(serial))]
        assert len(known) == LIMIT
        # Those that are known go on as ever.
        assert ask(ground.acs.port, soap_post(inform(known[0], ["1 BOOT"]))).status == 200
        ground.records.rows("UPDATE devices SET first_seen = first_seen - interval '2 minutes'")
        assert ask(ground.acs.port, soap_post(inform(new_serial()))).status == 200
