"""Hostile clients: what they send ends in a clear refusal, and CPEs do not notice. docs/security.md has the answers."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.core.clock import Deadline, now
from agent.sim.cpe.http_auth import basic_header
from agent.sim.cpe.model import Model, Node
from agent.sim.cpe.values import ValueType
from agent.web.cwmp.bodies import BODY_SECONDS
from agent.web.cwmp.server import HEADER_MILLISECONDS, WAITING_THREADS
from tests.acs.soap.attacks import ATTACKS
from tests.acs_live.attacks import BROKEN_CHUNKS, HTTP, OTHERS, OUTSIDE, Attack
from tests.acs_live.conftest import Ground, Grounds
from tests.acs_live.cpes import clean, told_values
from tests.acs_live.messages import device_id_of, inform, new_serial, rpc
from tests.acs_live.process import HOST
from tests.acs_live.raw import Answer, Raw, ask, request, soap_post
from tests.acs_live.seen import SeenTable, told
from tests.acs_live.test_transfers import FIRMWARE, offer, store_file
from tests.acs_live.waiting import until

IDLE = 2_000
ENTRIES = 20_000
DOCUMENTED_XML = (
    "billion laughs",
    "quadratic blow-up",
    "external entity",
    "external subset",
    "parameter entity",
    "deep",
    "a million attributes",
    "10,000 namespaces",
    "a huge name",
    "a huge value",
    "a huge id",
    "UTF-16 with a mark",
    "UTF-7 that says so",
    "NUL inside",
    "an HTML page",
    "300 events",
    "an inclusion",
)


@pytest.fixture(scope="module")
def ground(grounds: Grounds) -> Iterator[Ground]:
    """An ACS with few threads, without authentication: nothing stands between the attacks and what they aim at."""
    with grounds(workers=2, threads=2) as made:
        yield made


class Slow(threading.Thread):
    """A client that sends a little now and then, or nothing, until the server has had enough."""

    def __init__(self, tcp_port: int, begin: bytes, drop: bytes = b"") -> None:
        super().__init__(daemon=True)
        self.seconds = 0.0
        self.received = b""
        self._raw = Raw(tcp_port)
        self._begin = begin
        self._drop = drop
        self.start()

    def run(self) -> None:
        begun, deadline = now(), Deadline.after(150)
        with self._raw as raw, contextlib.suppress(ConnectionError):
            raw.send(self._begin)
            raw.socket.settimeout(0.5)
            while not deadline.passed:
                try:
                    data = raw.socket.recv(4096)
                except TimeoutError:
                    raw.socket.sendall(self._drop)
                    continue
                if not data:
                    break
                self.received += data
        self.seconds = now() - begun

    @property
    def told(self) -> str:
        """What has come, in a few words."""
        lines = self.received.decode().splitlines()
        statuses = [line.removeprefix("HTTP/1.1 ") for line in lines if line.startswith("HTTP/1.1 ")]
        return ", ".join([*statuses, "the connection is closed"])


@pytest.fixture(scope="module", autouse=True)
def slow(ground: Ground) -> dict[str, Slow]:
    """They begin before all other attacks, and are looked at after them."""
    post = "POST / HTTP/1.1\r\nHost: acs\r\nContent-Type: text/xml\r\n"
    length = f"{post}Content-Length: 1000\r\n"
    clients = {
        "a connection that says nothing": (b"", b""),
        "headers, a few bytes at a time": (b"POST / HTTP/1.1\r\n", b"X-A: b\r\n"),
        "a body that is announced and does not come": (f"{length}\r\n".encode(), b""),
        "a body, a byte at a time": (f"{length}\r\n".encode(), b"x"),
        "chunks of one byte at a time": (f"{post}Transfer-Encoding: chunked\r\n\r\n".encode(), b"1\r\nx\r\n"),
        "Expect: 100-continue, and then nothing": (f"{length}Expect: 100-continue\r\n\r\n".encode(), b""),
    }
    return {name: Slow(ground.acs.port, *sent) for name, sent in clients.items()}


@pytest.fixture(autouse=True)
def _cpes_do_not_notice(ground: Ground) -> Iterator[None]:
    """After each attack another CPE has its session, and no worker has died."""
    workers = ground.acs.workers()
    yield
    assert clean(ground.make_cpe().run_session())
    assert ground.acs.workers() == workers
    assert "failed unexpectedly" not in ground.acs.log


def attempt(ground: Ground, data: bytes, method: str = "POST") -> Answer | None:
    with Raw(ground.acs.port) as raw:
        return raw.ask(data, method)


class TestHttp:
    @pytest.mark.parametrize("name", HTTP)
    def test_it_is_refused(self, name: str, ground: Ground, seen: SeenTable) -> None:
        attack: Attack = HTTP[name]
        answer = attempt(ground, attack.data(), attack.method)
        seen.note(name, told(answer))
        assert (answer.status if answer else None) == attack.status
        assert attack.says in (answer.text if answer else "")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PROPFIND"])
    def test_other_methods(self, method: str, ground: Ground) -> None:
        answer = ask(ground.acs.port, request(method), method)
        assert (answer.status, answer.header("allow")) == (405, "POST")

    @pytest.mark.parametrize("name", BROKEN_CHUNKS)
    def test_broken_chunks_are_no_message(self, name: str, ground: Ground) -> None:
        serial = new_serial()
        begun = soap_post(inform(serial))
        data = request(
            body=BROKEN_CHUNKS[name], headers={"Transfer-Encoding": "chunked", "X-Serial": serial}, length=False
        )
        with Raw(ground.acs.port, source="127.0.0.50") as raw:
            assert raw.ask(begun) is not None
            answer = raw.ask(data)
            raw.await_end()
        assert answer is None or answer.status in (200, 204, 400), answer
        if answer is not None and answer.status == 200:
            assert "<cwmp:GetParameterNames>" in answer.text, "it was taken for an empty POST, which is harmless"
        ground.records.rows(
            "SELECT finish_session(device_id, token, sequence, 0, 'failed', '') FROM cwmp_sessions"
            " WHERE device_id = %s",
            ground.records.row_of(device_id_of(serial)),
        )

    def test_both_lengths(self, ground: Ground, seen: SeenTable) -> None:
        """A proxy that went by the other one would see another request in it: nothing may come after it."""
        inner = request(body=inform(stowaway := new_serial()), headers={"Content-Type": "text/xml"})
        body = b"0\r\n\r\n" + inner
        both = request(body=body, headers={"Content-Length": str(len(body)), "Transfer-Encoding": "chunked"})
        with Raw(ground.acs.port, source="127.0.0.51") as raw:
            answer = raw.ask(both)
            assert answer is not None
            assert raw.await_end() == b""
        seen.note("Content-Length and Transfer-Encoding, with a second request inside", told(answer))
        assert answer.header("connection") == "close"
        assert not ground.records.is_known(device_id_of(stowaway))

    def test_what_follows_a_refusal_is_not_taken_for_a_request(self, ground: Ground) -> None:
        inner = request(body=inform(stowaway := new_serial()), headers={"Content-Type": "text/xml"})
        with Raw(ground.acs.port) as raw:
            answer = raw.ask(request(headers={"Content-Type": "text/xml"}, length=False) + inner)
            assert answer is not None
            assert answer.status == 411
            assert raw.await_end() == b""
        assert not ground.records.is_known(device_id_of(stowaway))

    def test_many_requests_at_once_on_one_connection(self, ground: Ground) -> None:
        with Raw(ground.acs.port) as raw:
            raw.send(request("GET", "/alive") * 500 + request("GET", "/alive", headers={"Connection": "close"}))
            assert raw.await_end().count(b"HTTP/1.1 204 ") == 501

    def test_garbage_of_all_kinds(self, ground: Ground) -> None:
        dice = random.Random(7)
        good = inform(new_serial())
        for _ in range(150):
            spoilt = bytearray(good)
            for _ in range(dice.randint(1, 30)):
                spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
            data = bytes(spoilt[: dice.randint(1, len(spoilt))]) if dice.random() < 0.5 else dice.randbytes(300)
            answer = ask(ground.acs.port, soap_post(data), source="127.0.0.52")
            assert answer.status in (200, 204, 400, 503), data


class TestXml:
    @pytest.mark.parametrize("name", ATTACKS)
    def test_it_is_refused(self, name: str, ground: Ground, seen: SeenTable) -> None:
        make, why = ATTACKS[name]
        answer = ask(ground.acs.port, soap_post(make()))
        assert answer.status == 400
        assert answer.header("connection") == "close"
        # The ACS's own limit of size is that of the setting.
        assert why in answer.text or name == "an endless message"
        if name in DOCUMENTED_XML:
            seen.note(f"XML: {name}", told(answer))

    def test_nothing_is_fetched_that_a_message_names(self, ground: Ground) -> None:
        with socket.create_server((HOST, 0)) as trap:
            trap.setblocking(False)
            place = f"http://{HOST}:{trap.getsockname()[1]}/x"
            for prolog in (
                f'<!DOCTYPE l SYSTEM "{place}">',
                f'<!DOCTYPE l [<!ENTITY % a SYSTEM "{place}"> %a;]>',
                f'<?xml-stylesheet href="{place}"?>',
            ):
                message = prolog.encode() + inform(new_serial())
                ask(ground.acs.port, soap_post(message))
            with pytest.raises(BlockingIOError):
                trap.accept()

    def test_an_id_is_echoed_as_text(self, ground: Ground, seen: SeenTable) -> None:
        evil = "&lt;/cwmp:ID>&lt;script>alert(1)&lt;/script>"
        answer = ask(ground.acs.port, soap_post(inform(new_serial(), identifier=evil)))
        assert answer.status == 200
        assert "&lt;/cwmp:ID&gt;&lt;script&gt;" in answer.text
        assert "<script>" not in answer.text
        seen.note("a cwmp:ID with markup in it", "it comes back escaped, as text")

    def test_names_of_devices_that_are_meant_for_something_else(self, ground: Ground) -> None:
        for serial in (
            "'; DROP TABLE devices; --",
            "../../etc/passwd",
            "<script>alert(1)</script>",
            "=1+1",
            "%00",
            "ü\u2028é",
        ):
            answer = ask(ground.acs.port, soap_post(inform(serial, ["1 BOOT"])))
            assert answer.status == 200, serial
            (found,) = ground.records.rows("SELECT device_id FROM devices WHERE serial_number = %s", serial)
            assert all(char.isalnum() or char in "_-%" for char in found[0])

    def test_twenty_thousand_entries_are_no_attack(self, ground: Ground, small: Model, seen: SeenTable) -> None:
        nodes = [
            Node(f"Device.Table.{number // 20 + 1}.P{number % 20}", True, ValueType.STRING, f"value {number}")
            for number in range(ENTRIES)
        ]
        info = ("DeviceInfo.SoftwareVersion", "DeviceInfo.HardwareVersion", "ManagementServer.URL")
        nodes += [Node(f"Device.{name}", False, ValueType.STRING, "1") for name in info]
        cpe = ground.make_cpe.of_new_model("Huge", model=Model("huge", small.origin, nodes))
        report = cpe.run_session()
        assert clean(report)
        assert report.sent_bytes > 4_000_000
        assert ground.records.values(cpe.device_id) == told_values(cpe)
        task = ground.records.add_task(cpe.device_id, "getParameterValues", {"names": ["Device."]})
        assert clean(cpe.run_session())
        assert ground.records.task(task).result == {"count": ENTRIES + len(info), "missing": 0}
        seen.note("20,000 parameters in one answer", "they are stored: this is no attack")


class TestFiles:
    def test_paths(self, ground: Ground, seen: SeenTable) -> None:
        cpe = ground.make_cpe.met()
        store_file(ground.acs, ground.records, "plain.bin", FIRMWARE)
        offered = offer(cpe, ground.records, "download", file="plain.bin")
        header = {"Authorization": basic_header(offered.place.username, offered.place.password)}
        statuses = set()
        for path in OUTSIDE:
            answer = ask(ground.acs.port, request("GET", path.format(task=offered.task), headers=header), "GET")
            assert answer.status in (404, 405), path
            assert b"root:" not in answer.body
            statuses.add(answer.status)
        seen.note(
            f"paths out of the directory of files ({len(OUTSIDE)} of them), with a transfer's password", "404, 405"
        )
        assert statuses == {404, 405}
        for path in OTHERS:
            answer = ask(ground.acs.port, request("GET", path, headers=header), "GET")
            assert answer.status in (401, 404), path

    def test_without_a_password(self, ground: Ground, seen: SeenTable) -> None:
        for path in ("/files/1/plain.bin", "/uploads/1"):
            for method in ("GET", "PUT", "POST", "DELETE"):
                answer = ask(ground.acs.port, request(method, path, b"x" * 100), method)
                assert answer.status in (401, 405), (method, path)
        answer = ask(ground.acs.port, request("GET", "/files/1/plain.bin"), "GET")
        seen.note("a file without the password of its transfer", told(answer))


class TestTooMuch:
    def test_idle_connections_beside(self, ground: Ground, seen: SeenTable) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < IDLE + 500:
            pytest.skip(f"this machine allows {hard} descriptors; {IDLE + 500} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, IDLE + 500)), hard))
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(Raw(ground.acs.port)) for _ in range(IDLE)]
            for raw in idle[::2]:
                answer = raw.ask(request("GET", "/alive"), "GET")
                assert answer is not None
                assert answer.status == 204
            for _ in range(5):
                assert clean(ground.make_cpe().run_session())
        seen.note(
            f"{IDLE:,} idle connections".replace(",", ","),
            "CPEs have their sessions beside them",
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_slow_bodies_beside(self, ground: Ground, seen: SeenTable) -> None:
        """Many times more than there are threads that work."""
        count = WAITING_THREADS - 14  # the slow ones of this module wait too
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                raw = stack.enter_context(Raw(ground.acs.port))
                raw.send(request(headers={"Content-Length": "1000", "Content-Type": "text/xml"}))
            for _ in range(5):
                assert clean(ground.make_cpe().run_session())
        seen.note(f"{count} bodies that do not come, at once", "CPEs have their sessions beside them")

    def test_a_storm_of_informs(self, ground: Ground) -> None:
        """Faster than two workers with two threads each can answer: nobody is answered wrongly."""
        serials = [new_serial() for _ in range(300)]
        with contextlib.ExitStack() as stack:
            raws = [stack.enter_context(Raw(ground.acs.port)) for _ in serials]
            for raw, serial in zip(raws, serials, strict=True):
                raw.send(soap_post(inform(serial)))
            statuses = {answer.status if (answer := raw.answer()) else 0 for raw in raws}
        assert statuses <= {200, 503}

    def test_a_peer_that_is_gone_without_a_word_is_looked_for(self, ground: Ground) -> None:
        """By TCP's keepalive: that it takes no more than a minute is the kernel's word."""
        with Raw(ground.acs.port) as raw:
            raw.send(request(headers={"Content-Length": "1000"}))
            until(lambda: ground.acs.worker_with(raw.tcp_port), "it is accepted")
            ends = f":{ground.acs.port:04X} 0100007F:{raw.tcp_port:04X} "
            (line,) = [line for line in Path("/proc/net/tcp").read_text().splitlines() if ends in line]
            timer, _, jiffies = line.split()[5].partition(":")
            assert timer == "02", "keepalive (proc_net_tcp.txt)"
            assert int(jiffies, 16) / 100 <= 30

    def test_who_hangs_up_in_the_middle(self, ground: Ground) -> None:
        serial = new_serial()
        with Raw(ground.acs.port) as raw:
            answer = raw.ask(soap_post(inform(serial)))
            assert answer is not None
            cookie = {"Cookie": (answer.header("set-cookie") or "").partition(";")[0]}
            whole = soap_post(rpc("<cwmp:GetRPCMethods/>"), cookie)
            raw.send(whole[:-20])
        until(lambda: ground.records.outcomes(device_id_of(serial)) == ["failed"], "its session has failed")
        (session,) = ground.records.sessions(device_id_of(serial))
        assert "the body is cut off" in session.reason


# Last: by now their time has passed.
SLOW_ENDS: dict[str, Callable[[float], bool]] = {
    "a connection that says nothing": lambda seconds: seconds > HEADER_MILLISECONDS / 1000 - 1,
    "headers, a few bytes at a time": lambda seconds: seconds > HEADER_MILLISECONDS / 1000 - 1,
    "a body that is announced and does not come": lambda seconds: seconds > BODY_SECONDS - 1,
    "a body, a byte at a time": lambda seconds: seconds > BODY_SECONDS - 1,
    "chunks of one byte at a time": lambda seconds: seconds > BODY_SECONDS - 1,
    "Expect: 100-continue, and then nothing": lambda seconds: seconds > BODY_SECONDS - 1,
}


@pytest.mark.parametrize("name", SLOW_ENDS)
def test_slow_clients_are_let_go(name: str, slow: dict[str, Slow], seen: SeenTable) -> None:
    client = slow[name]
    client.join(150)
    assert not client.is_alive()
    assert SLOW_ENDS[name](client.seconds)
    after = f"after {BODY_SECONDS:.0f} s" if "408" in client.told else f"after {HEADER_MILLISECONDS / 1000:.0f} s"
    seen.note(name, f"{after}: {client.told}")
