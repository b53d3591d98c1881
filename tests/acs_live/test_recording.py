"""Sessions that are recorded: what is kept of them, and what is not."""

from __future__ import annotations

from datetime import timedelta

from agent.core.clock import wall
from agent.store.database import Database
from agent.store.recordings import RecordedMessage, Recordings
from agent.store.session_history import SessionHistory
from tests.acs_live.conftest import Grounds
from tests.acs_live.cpes import clean
from tests.acs_live.waiting import until

ROOT = "InternetGatewayDevice."
SSID = f"{ROOT}LANDevice.1.WLANConfiguration.1.SSID"
PASSWORD = f"{ROOT}ManagementServer.ConnectionRequestPassword"


def messages_of(recordings: Recordings, device_id: str) -> list[RecordedMessage]:
    found: list[RecordedMessage] = []
    for session in reversed(recordings.fetch_recorded(device_id)):
        found += recordings.fetch_messages(device_id, session.tag)
    return found


def test_a_recorded_session_shows_every_message_without_its_secrets(grounds: Grounds) -> None:
    with grounds(workers=1) as ground, Database(ground.records.url) as database:
        recordings, history = Recordings(database), SessionHistory(database)
        cpe, other = ground.make_cpe.met(), ground.make_cpe.met()
        assert recordings.start(cpe.device_id, until=wall() + timedelta(minutes=5), by="somebody")
        values = [{"name": SSID, "value": "a & b"}, {"name": PASSWORD, "value": "sesame"}]
        ground.records.add_task(cpe.device_id, "setParameterValues", {"values": values})
        # The worker hears of it by a notification.
        until(lambda: clean(cpe.run_session()) and bool(messages_of(recordings, cpe.device_id)), "it is recorded")
        assert clean(other.run_session())
        assert recordings.fetch_recorded(other.device_id) == ()

        ground.records.add_task(cpe.device_id, "setParameterValues", {"values": values})
        assert clean(cpe.run_session())
        newest = recordings.fetch_recorded(cpe.device_id)[0]
        messages = recordings.fetch_messages(cpe.device_id, newest.tag)
        assert [(each.sender, each.method, each.http_status) for each in messages] == [
            ("cpe", "Inform", None),
            ("acs", "InformResponse", 200),
            ("cpe", "", None),
            ("acs", "SetParameterValues", 200),
            ("cpe", "SetParameterValuesResponse", None),
            ("acs", "", 204),
        ]
        assert newest.messages == 6
        text = "".join(each.body for each in messages)
        assert "a &amp; b" in text
        assert "sesame" not in text
        assert "***" in text
        past = history.fetch_past(cpe.device.identity.serial_number)
        assert past is not None
        assert [each.recorded for each in past if each.tag == newest.tag] == [True]

        assert recordings.stop(cpe.device_id)
        count = len(messages_of(recordings, cpe.device_id))
        until(lambda: clean(cpe.run_session()), "a session that nobody records")
        assert len(messages_of(recordings, cpe.device_id)) in (count, count + 4)
        assert recordings.delete(cpe.device_id) >= count
        assert recordings.fetch_recorded(cpe.device_id) == ()


def test_a_recording_ends_when_its_bytes_are_used_up(grounds: Grounds) -> None:
    with grounds(workers=1) as ground, Database(ground.records.url) as database:
        recordings = Recordings(database)
        cpe = ground.make_cpe.met()
        assert recordings.start(cpe.device_id, until=wall() + timedelta(minutes=5), by="somebody", bytes_most=10)
        until(lambda: clean(cpe.run_session()) and bool(messages_of(recordings, cpe.device_id)), "it is recorded")
        assert recordings.fetch(cpe.device_id) is None
        assert len(messages_of(recordings, cpe.device_id)) == 2
        assert clean(cpe.run_session())
        assert len(messages_of(recordings, cpe.device_id)) == 2
