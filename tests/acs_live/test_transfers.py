"""Files to CPEs and from them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.http_auth import basic_header
from agent.sim.cpe.jobs import FilePlace
from agent.sim.cpe.records import Event
from tests.acs_live.cpes import CpeMaker, clean
from tests.acs_live.process import Acs
from tests.acs_live.raw import Answer, Digest, Raw, ask, request
from tests.acs_live.records import Records
from tests.acs_live.seen import SeenTable, told
from tests.acs_live.waiting import until

FIRMWARE = b"SoftwareVersion=V5R099\n" + os.urandom(300_000)
SSID = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID"
FIRST_WAIT_SECONDS = 300.0


@pytest.fixture
def cpe(make_cpe: CpeMaker) -> Cpe:
    return make_cpe.met()


def store_file(acs: Acs, records: Records, name: str, content: bytes, kind: str = "1") -> str:
    """What `lastmile file add` does; returns where the bytes lie."""
    digest = hashlib.sha256(content).hexdigest()
    (acs.files / digest).write_bytes(content)
    records.rows(
        "INSERT INTO files (name, kind, size, sha256) VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO UPDATE"
        " SET size = excluded.size, sha256 = excluded.sha256",
        *(name, kind, len(content), digest),
    )
    return digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A transfer that a CPE was asked for, and where."""

    task: int
    place: FilePlace

    @property
    def path(self) -> str:
        return urlsplit(self.place.url).path


def offer(cpe: Cpe, records: Records, kind: str, **arguments: object) -> Offered:
    """Ask the CPE for a transfer, and do not let it begin."""
    task = records.add_task(cpe.device_id, kind, arguments)
    assert clean(cpe.run_session())
    found = records.task(task)
    assert (found.status, found.awaits_transfer) == ("sent", True)
    return Offered(task=task, place=cpe.device.work.jobs[-1].place)


def with_digest(
    acs: Acs, offered: Offered, method: str, path: str | None = None, password: str | None = None
) -> Answer:
    """A request with the transfer's own credentials, or a wrong password."""
    path = path or offered.path
    challenge = ask(acs.port, request(method, path), method)
    assert challenge.status == 401
    digest = Digest(challenge, offered.place.username, password or offered.place.password)
    return ask(acs.port, request(method, path, headers=digest.header(method, path)), method)


class TestDownload:
    def test_firmware(self, cpe: Cpe, acs: Acs, records: Records) -> None:
        store_file(acs, records, "fw-99.bin", FIRMWARE)
        offered = offer(cpe, records, "download", file="fw-99.bin")
        assert offered.place.url == f"{acs.url}files/{offered.task}/fw-99.bin"
        (completion,) = cpe.run_jobs()
        assert (completion.fault_code, completion.fault_text) == (0, "")
        assert records.task(offered.task).status == "sent", "it is done when the device says so"
        report = cpe.run_session()
        assert clean(report)
        assert Event("M Download", f"lastmile-{offered.task}") in report.events
        assert "TransferComplete" in report.requests
        found = records.task(offered.task)
        assert (found.status, found.fault_code) == ("completed", None)
        assert set(found.result or {}) == {"started_at", "completed_at"}
        version = records.one("SELECT software_version FROM devices WHERE device_id = %s", cpe.device_id)
        assert version == "V5R099"

    def test_a_configuration(self, cpe: Cpe, acs: Acs, records: Records) -> None:
        store_file(acs, records, "wifi.conf", f"{SSID}=from a file\n".encode(), kind="3")
        offer(cpe, records, "download", file="wifi.conf", file_type="3 Vendor Configuration File")
        cpe.run_jobs()
        assert cpe.tree.value(SSID) == "from a file"

    def test_a_fault_is_kept_and_it_is_tried_again(self, cpe: Cpe, acs: Acs, records: Records) -> None:
        lost = acs.files / store_file(acs, records, "lost.bin", b"SoftwareVersion=V7\n")
        away = lost.rename(lost.with_suffix(".away"))
        offered = offer(cpe, records, "download", file="lost.bin")
        (completion,) = cpe.run_jobs()
        assert completion.fault_code == 9016
        assert clean(cpe.run_session())
        found = records.task(offered.task)
        assert (found.status, found.fault_code, found.awaits_transfer) == ("pending", "9016", False)
        assert 0 < found.wait_seconds <= FIRST_WAIT_SECONDS, "the first wait of fault_retry_seconds"
        (fault,) = records.faults(cpe.device_id)
        assert (fault.channel, fault.code) == (f"task_{offered.task}", "9016")
        assert fault.retry_at is not None
        assert cpe.run_session().rpcs == (), "not before its time"
        away.rename(lost)
        records.retry_now(offered.task)
        assert cpe.run_session().rpcs == ("Download",)
        cpe.run_jobs()
        assert clean(cpe.run_session())
        assert records.task(offered.task).status == "completed"
        assert records.faults(cpe.device_id) == []

    def test_waits_double_and_come_to_an_end(self, cpe: Cpe, acs: Acs, records: Records) -> None:
        (acs.files / store_file(acs, records, "never.bin", b"SoftwareVersion=V8\n")).unlink()
        task = records.add_task(cpe.device_id, "download", {"file": "never.bin"})
        waits = []
        while records.task(task).status == "pending":
            records.retry_now(task)
            cpe.run_session()
            cpe.run_jobs()
            assert clean(cpe.run_session())
            waits.append(records.task(task).wait_seconds)
        found = records.task(task)
        assert found.status == "failed"
        assert found.attempts == 6, "one try, and five (acs.fault_retries) more"
        doubled = [FIRST_WAIT_SECONDS * 2**number for number in range(5)]
        assert [wanted - 60 < wait <= wanted for wait, wanted in zip(waits, doubled, strict=False)] == [True] * 5, waits

    def test_a_fault_of_its_own_url(self, cpe: Cpe, records: Records) -> None:
        task = records.add_task(cpe.device_id, "download", {"url": "ftp://192.0.2.1/x", "username": "u"})
        assert clean(cpe.run_session())
        cpe.run_jobs()
        assert clean(cpe.run_session())
        found = records.task(task)
        assert (found.status, found.fault_code) == ("failed", "9013")

    def test_a_transfer_that_nobody_asked_for_is_noted(self, cpe: Cpe, records: Records) -> None:
        task = records.add_task(cpe.device_id, "download", {"url": "http://127.0.0.1:9/x"})
        assert clean(cpe.run_session())
        records.rows("UPDATE tasks SET status = 'cancelled' WHERE id = %s", task)
        cpe.run_jobs()
        report = cpe.run_session()
        assert clean(report)
        assert "TransferComplete" in report.requests
        assert records.task(task).status == "cancelled"
        kind, payload = records.events(cpe.device_id)[-1]
        assert kind == "transfer_complete"
        assert payload["command_key"] == f"lastmile-{task}"


class TestFileServer:
    @pytest.fixture
    def offered(self, cpe: Cpe, acs: Acs, records: Records) -> Offered:
        store_file(acs, records, "plain.bin", FIRMWARE)
        return offer(cpe, records, "download", file="plain.bin")

    def test_digest_and_basic(self, offered: Offered, acs: Acs) -> None:
        answer = with_digest(acs, offered, "GET")
        assert (answer.status, answer.body) == (200, FIRMWARE)
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        answer = ask(acs.port, request("GET", offered.path, headers=header), "GET")
        assert (answer.status, answer.body) == (200, FIRMWARE)
        assert with_digest(acs, offered, "HEAD").header("content-length") == str(len(FIRMWARE))

    def test_ranges_and_etags(self, offered: Offered, acs: Acs) -> None:
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}

        def get(**more: str) -> Answer:
            sent = {**header, **{name.replace("_", "-"): value for name, value in more.items()}}
            return ask(acs.port, request("GET", offered.path, headers=sent), "GET")

        etag = get().header("etag")
        assert etag == f'"{hashlib.sha256(FIRMWARE).hexdigest()}"'
        assert get(If_None_Match=etag).status == 304
        part = get(Range="bytes=1000-1999")
        assert (part.status, part.body) == (206, FIRMWARE[1000:2000])
        assert part.header("content-range") == f"bytes 1000-1999/{len(FIRMWARE)}"
        assert get(Range="bytes=-10").body == FIRMWARE[-10:]
        rest = get(Range="bytes=299000-", If_Range=etag)
        assert (rest.status, rest.body) == (206, FIRMWARE[299_000:])
        assert get(Range="bytes=299000-", If_Range='"another"').body == FIRMWARE
        assert get(Range=f"bytes={len(FIRMWARE)}-").status == 416

    def test_who_does_not_know_the_password_gets_nothing(self, offered: Offered, acs: Acs, records: Records) -> None:
        assert with_digest(acs, offered, "GET", password="wrong").status == 401
        for wrong in ("", "wrong", offered.place.password.upper(), f"{offered.place.password} "):
            header = {"Authorization": basic_header(offered.place.username, wrong)}
            assert ask(acs.port, request("GET", offered.path, headers=header), "GET").status == 401
        assert ask(acs.port, request("GET", offered.path), "GET").status == 401

    def test_the_credentials_of_one_transfer_open_no_other(
        self, offered: Offered, acs: Acs, records: Records, make_cpe: CpeMaker, seen: SeenTable
    ) -> None:
        store_file(acs, records, "secret.conf", b"secret", kind="3")
        other = offer(make_cpe.met(), records, "download", file="secret.conf", file_type="3 Vendor Configuration File")
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        answer = ask(acs.port, request("GET", other.path, headers=header), "GET")
        assert answer.status == 401
        seen.note("another transfer's file, with one's own transfer's password", told(answer))
        mixed = {"Authorization": basic_header(other.place.username, offered.place.password)}
        assert ask(acs.port, request("GET", other.path, headers=mixed), "GET").status == 401
        stolen = offered.path.replace("plain.bin", "secret.conf")
        answer = ask(acs.port, request("GET", stolen, headers=header), "GET")
        assert answer.status == 404
        seen.note("another stored file, under one's own transfer", told(answer))
        assert ask(acs.port, request("PUT", f"/uploads/{offered.task}", b"x", header), "PUT").status == 404

    def test_they_end_with_the_transfer(self, offered: Offered, cpe: Cpe, acs: Acs, seen: SeenTable) -> None:
        cpe.run_jobs()
        assert clean(cpe.run_session())
        answer = with_digest(acs, offered, "GET")
        assert answer.status == 404
        seen.note("a file after the end of its transfer", told(answer))

    def test_slow_downloads_do_not_keep_cpes_waiting(
        self, offered: Offered, acs: Acs, records: Records, make_cpe: CpeMaker
    ) -> None:
        store_file(acs, records, "plain.bin", FIRMWARE * 20)  # more than fits into what is on its way
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(Raw(acs.port, receive_bytes=4096)) for _ in range(60)]
            for reader in readers:
                reader.send(request("GET", offered.path, headers=header))
            for _ in range(6):
                assert clean(make_cpe.met().run_session())
        store_file(acs, records, "plain.bin", FIRMWARE)

    def test_too_many_downloads_at_once_must_wait(
        self, offered: Offered, acs: Acs, records: Records, seen: SeenTable
    ) -> None:
        store_file(acs, records, "plain.bin", FIRMWARE * 20)
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        wanted = request("GET", offered.path, headers=header)
        with contextlib.ExitStack() as stack:
            statuses = []
            for _ in range(3 * 32 + 3):
                reader = stack.enter_context(Raw(acs.port, receive_bytes=4096))
                reader.send(wanted)
                statuses.append(int(reader.socket.recv(12)[9:12]))
        assert statuses.count(503) >= 3, "three workers have 32 turns each"
        seen.note("more than 32 transfers at once with one worker", "503 Service Unavailable for those beyond")
        assert statuses.count(200) >= 32
        # Whoever hangs up makes room.
        until(lambda: all(ask(acs.port, wanted, "GET").status == 200 for _ in range(9)), "there are turns again")
        store_file(acs, records, "plain.bin", FIRMWARE)


class TestUpload:
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_a_configuration(self, method: str, make_cpe: CpeMaker, acs: Acs, records: Records) -> None:
        cpe = make_cpe.met(upload_method=method)
        cpe.change(SSID, "mine")
        offered = offer(cpe, records, "upload")
        assert offered.place.url == f"{acs.url}uploads/{offered.task}"
        (completion,) = cpe.run_jobs()
        assert (completion.fault_code, completion.fault_text) == (0, "")
        assert clean(cpe.run_session())
        found = records.task(offered.task)
        assert found.status == "completed"
        assert found.result is not None
        assert set(found.result) == {"file", "size", "started_at", "completed_at"}
        ((kind, size, digest, created_by),) = records.rows(
            "SELECT kind, size, sha256, created_by FROM files WHERE name = %s", found.result["file"]
        )
        content = (acs.files / digest).read_bytes()
        assert (kind, size, created_by) == ("upload", len(content), cpe.device_id)
        assert f"{SSID}=mine".encode() in content
        assert hashlib.sha256(content).hexdigest() == digest

    def test_in_chunks_of_unknown_length(self, cpe: Cpe, acs: Acs, records: Records) -> None:
        offered = offer(cpe, records, "upload", file_type="2 Vendor Log File")
        content = os.urandom(700_000)
        connection = http.client.HTTPConnection("127.0.0.1", acs.port, timeout=60)
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        with contextlib.closing(connection):
            parts = (content[at : at + 50_000] for at in range(0, len(content), 50_000))
            connection.request("PUT", offered.path, body=parts, headers=header, encode_chunked=True)
            assert connection.getresponse().status == 201
        assert self.stored(records, offered) == hashlib.sha256(content).hexdigest()
        assert (acs.files / hashlib.sha256(content).hexdigest()).read_bytes() == content

    def test_what_is_cut_off_is_not_stored(self, cpe: Cpe, acs: Acs, records: Records) -> None:
        offered = offer(cpe, records, "upload")
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        with Raw(acs.port) as raw:
            raw.send(request("PUT", offered.path, b"x" * 50_000, {**header, "Content-Length": "100000"}))
            until(lambda: list(acs.files.glob(".coming-*")), "it is being received")
        until(lambda: not list(acs.files.glob(".coming-*")), "it has been dropped")
        assert self.stored(records, offered) is None
        assert not (acs.files / hashlib.sha256(b"x" * 50_000).hexdigest()).exists()

    def test_what_is_too_large_is_refused_at_once(self, cpe: Cpe, acs: Acs, records: Records, seen: SeenTable) -> None:
        offered = offer(cpe, records, "upload")
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        announced = {**header, "Content-Length": str(2 * 1024**3)}
        answer = ask(acs.port, request("PUT", offered.path, b"x", announced), "PUT")
        assert answer.status == 413
        seen.note("an upload of 2 GB", told(answer))

    @staticmethod
    def stored(records: Records, offered: Offered) -> str | None:
        found = records.rows("SELECT sha256 FROM files WHERE name LIKE %s", f"upload-{offered.task}-%")
        return found[0][0] if found else None
