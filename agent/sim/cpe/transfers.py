"""Files over HTTP: what a Download fetches and an Upload sends."""

from __future__ import annotations

import dataclasses

from agent.core.errors import ConfigError, ProtocolError, TransientError
from agent.sim.cpe.http_auth import Auth, Authenticator
from agent.sim.cpe.http_client import HttpClient
from agent.sim.cpe.job_results import Fetched, JobFault
from agent.sim.cpe.jobs import FilePlace
from agent.sim.cpe.wire import Coding, Cookies, Wire

KEPT_BYTES = 1 << 20
"""Two hundred CPEs that fetch firmware keep only the beginning of it."""
_FAULTS = {401: 9012, 403: 9012, 404: 9016, 410: 9016}
_OTHER_STATUS = {"GET": 9010, "PUT": 9011, "POST": 9011}


def file_wire(wire: Wire) -> Wire:
    """How the CPE speaks to a file server: plain, and with the authentication that it is asked for."""
    return dataclasses.replace(
        wire, auth=Auth.ANY, cookies=Cookies.KEPT, coding=Coding.IDENTITY, chunked=False, follows_redirects=True
    )


async def fetch(place: FilePlace, wire: Wire) -> Fetched | JobFault:
    """GET the file; the fault is one that TransferComplete tells."""
    return await _transfer("GET", place, b"", wire)


async def send(place: FilePlace, content: bytes, wire: Wire, method: str = "PUT") -> JobFault | None:
    """PUT or POST the file."""
    answer = await _transfer(method, place, content, wire)
    return answer if isinstance(answer, JobFault) else None


async def _transfer(method: str, place: FilePlace, content: bytes, wire: Wire) -> Fetched | JobFault:
    auth = Auth.ANY if place.username else Auth.NONE
    try:
        client = HttpClient(place.url, file_wire(wire), Authenticator(auth, place.username, place.password))
    except ConfigError as error:
        is_http = place.url.partition(":")[0] in {"http", "https"}
        return JobFault(9016 if is_http else 9013, str(error))
    headers = (("Content-Type", "application/octet-stream"),) if content else ()
    try:
        answer = await client.request(method, content, headers, KEPT_BYTES)
    except (TransientError, ProtocolError) as error:
        return JobFault(9017 if client.connections else 9015, str(error))
    finally:
        await client.close()
    if 200 <= answer.status < 300:
        return Fetched(answer.body, answer.length)
    return JobFault(_FAULTS.get(answer.status, _OTHER_STATUS[method]), f"HTTP {answer.status}")
