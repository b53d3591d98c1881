"""CPEs that speak HTTP, SOAP and CWMP in all the ways that real ones do."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.dialect import Dialect
from agent.sim.cpe.soap import CWMP_NAMESPACES
from agent.sim.cpe.wire import Coding, Cookies, Wire
from tests.acs_live.conftest import Ground, Grounds
from tests.acs_live.cpes import clean, told_values
from tests.acs_live.messages import inform, new_serial
from tests.acs_live.process import free_port
from tests.acs_live.raw import Raw, soap_post

SPOILT = {Dialect.CONTROL_CHARACTERS, Dialect.WRONG_ENCODING, Dialect.UNTYPED}


@pytest.fixture(scope="module")
def ground(grounds: Grounds) -> Iterator[Ground]:
    """One of its own: a CPE without cookies is known by its address, so no session may be open beside it."""
    with grounds(workers=3) as made:
        yield made


WIRES: dict[str, dict[str, Any]] = {
    "HTTP/1.0": {"http_1_0": True},
    "gzip": {"coding": Coding.GZIP},
    "deflate": {"coding": Coding.DEFLATE},
    "chunked": {"chunked": True},
    "gzip in chunks": {"coding": Coding.GZIP, "chunked": True},
    "an empty POST first": {"empty_first_post": True},
    "no Content-Type": {"content_type": None},
    "an empty Content-Type": {"content_type": ""},
    "encoding instead of charset": {"content_type": "text/xml; encoding=utf-8"},
    "another Content-Type": {"content_type": "application/soap+xml"},
    "no SOAPAction": {"soap_action": None},
    "an odd SOAPAction": {"soap_action": "urn:x"},
}


@pytest.mark.parametrize("name", WIRES)
def test_every_way_of_speaking_http(name: str, ground: Ground) -> None:
    cpe = ground.make_cpe(wire=Wire(**WIRES[name]))
    assert clean(cpe.run_session())
    assert ground.records.values(cpe.device_id) == told_values(cpe)
    assert clean(cpe.run_session())
    assert ground.records.outcomes(cpe.device_id) == ["completed", "completed"]


@pytest.mark.parametrize(("cookies", "each_post"), list(itertools.product(Cookies, [False, True])))
def test_sessions_are_known_without_cookies_and_on_any_connection(
    cookies: Cookies, each_post: bool, ground: Ground
) -> None:
    wire = Wire(cookies=cookies, new_connection_per_post=each_post)
    cpe = ground.make_cpe(wire=wire)
    report = cpe.run_session()
    assert clean(report)
    assert report.connections == (len(report.statuses) if each_post else 1)
    assert ground.records.values(cpe.device_id) == told_values(cpe)
    task = ground.records.add_task(cpe.device_id, "getRPCMethods")
    assert clean(cpe.run_session())
    assert ground.records.task(task).status == "completed"
    assert ground.records.outcomes(cpe.device_id) == ["completed", "completed"]


@pytest.mark.parametrize("dialect", Dialect)
def test_every_dialect(dialect: Dialect, ground: Ground) -> None:
    cpe = ground.make_cpe.of_new_model(f"Dialect {dialect.value}", behaviour=Behaviour(dialects=frozenset({dialect})))
    report = cpe.run_session()
    assert report.completed, report
    assert set(ground.records.values(cpe.device_id)) == set(told_values(cpe))
    if dialect not in SPOILT:
        assert ground.records.values(cpe.device_id) == told_values(cpe)


@pytest.mark.parametrize("version", CWMP_NAMESPACES)
def test_every_version_is_answered_in_its_namespace(version: str, ground: Ground) -> None:
    """The CPE complains of any other."""
    cpe = ground.make_cpe(wire=Wire(cwmp_version=version))
    assert clean(cpe.run_session())


@pytest.mark.parametrize("number", range(5))
def test_a_namespace_of_ones_own_is_kept(number: int, ground: Ground) -> None:
    namespace = f"urn:dslforum-org:cwmp-1-{number}"
    with Raw(ground.acs.port) as raw:
        answer = raw.ask(soap_post(inform(new_serial(), namespace=namespace, identifier="a&lt;7")))
        assert answer is not None
        assert re.findall(r"urn:dslforum-org:cwmp-[\d-]+", answer.text) == [namespace]
        assert "a&lt;7</cwmp:ID>" in answer.text
        cookie = (answer.header("set-cookie") or "").partition(";")[0]
        asked = raw.ask(soap_post(b"", {"Cookie": cookie}))
        assert asked is not None
        assert "GetParameterNames" in asked.text
        assert re.findall(r"urn:dslforum-org:cwmp-[\d-]+", asked.text) == [namespace]
        raw.ask(soap_post(b"<", {"Cookie": cookie}))


def test_an_inform_without_an_id_is_answered_without(ground: Ground) -> None:
    with Raw(ground.acs.port) as raw:
        answer = raw.ask(soap_post(inform(new_serial(), identifier="")))
    assert answer is not None
    assert "InformResponse" in answer.text
    assert ":ID" not in answer.text


def test_cpes_of_both_families_at_one_socket(grounds: Grounds) -> None:
    port = free_port()
    with grounds(listen=f"[::]:{port}", port=port) as ground:
        for url, peer in ((ground.acs.url, "127.0.0.1"), (f"http://[::1]:{port}/", "::1")):
            cpe = ground.make_cpe(url=url)
            assert clean(cpe.run_session())
            assert [session.peer for session in ground.records.sessions(cpe.device_id)] == [peer]


def test_a_body_that_waits_to_be_asked_for(ground: Ground) -> None:
    """libcurl does so with long messages."""
    whole = soap_post(inform(new_serial()), {"Expect": "100-continue"})
    head, _, body = whole.partition(b"\r\n\r\n")
    with Raw(ground.acs.port) as raw:
        raw.send(head + b"\r\n\r\n")
        assert raw.socket.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        answer = raw.ask(body)
    assert answer is not None
    assert answer.status == 200
    assert "InformResponse" in answer.text


def test_there_is_one_cookie_for_all_paths_and_no_redirect(ground: Ground) -> None:
    for path in ("/", "/cwmp", "/cwmp/"):
        with Raw(ground.acs.port) as raw:
            answer = raw.ask(soap_post(inform(new_serial())).replace(b"POST / ", f"POST {path} ".encode(), 1))
        assert answer is not None
        assert answer.status == 200
        (cookie,) = answer.all("set-cookie")
        assert re.fullmatch(r"session=[\w.-]+; Path=/", cookie)
