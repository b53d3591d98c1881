"""The API against its own description: requests made up from it by schemathesis, answers checked against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agent.core.settings.schema import AcsSettings, WebSettings
from agent.sim.postgres import EmbeddedPostgres
from agent.store.rows import Role
from agent.web.app import create_app
from agent.web.endpoint import Endpoint
from agent.web.routes import make_endpoints
from tests.postgres_fixture import fresh_database
from tests.store.cpes import add_device, device_id_of, serial_number_of, write_values
from tests.store.farm import serial_of
from tests.web.conftest import add_modems, make_services

EXAMPLES = 6
"""Of each endpoint, in each way: all of them take about a minute."""
CHECKS = (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
CONFIG = {
    "checks": {
        "negative_data_rejection": {
            # 413 too: what is too long is refused before it is looked at.
            "expected-statuses": [400, 401, 403, 404, 405, 409, 411, 413, 415, 426, 429, "5xx"]
        }
    }
}
ENDLESS = {"streamEvents"}
"""Their answer does not end; other tests read it."""
KNOWN = {
    "serial": serial_of(1),
    "device_id": device_id_of(1),
    "serial_number": serial_number_of(1),
    "name": "firmware.bin",
}


class Api:
    """The application on a database of its own, with something of everything in it."""

    def __init__(self, app: Flask, headers: dict[str, str]) -> None:
        self.schema = schemathesis.openapi.from_wsgi(
            "/api/openapi.json", app, config=schemathesis.Config.from_dict(CONFIG), headers=headers
        )
        self.headers = headers


@pytest.fixture(scope="module")
def api(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    directory: Path = tmp_path_factory.mktemp("files")
    with fresh_database(postgres_server) as url:
        add_modems(url, directory / "wishes.json")
        device = add_device(url)
        write_values(url, device, {"InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID": "home"})
        settings = WebSettings(threads=8, event_streams=2, command_timeout_seconds=0.05)
        services = make_services(url, settings, AcsSettings(file_dir=directory / "files", file_bytes_most=4096))
        services.start()
        try:
            token = services.tokens.create("schemathesis", Role.ADMIN)
            yield Api(create_app(services), {"Authorization": f"Bearer {token}"})
        finally:
            services.close()


def cases() -> Iterator[Any]:
    """Each endpoint with requests that its description allows, and with others where there are any."""
    for endpoint in make_endpoints(metrics=None, describe=dict):  # type: ignore[arg-type]
        if endpoint.name in ENDLESS or endpoint.at_root:
            continue
        yield pytest.param(endpoint, GenerationMode.POSITIVE, id=f"{endpoint.name}-positive")
        if (
            endpoint.body is not None
            or "{" in endpoint.path
            or endpoint.query.model_fields
            or endpoint.role is not None
        ):
            yield pytest.param(endpoint, GenerationMode.NEGATIVE, id=f"{endpoint.name}-negative")


@pytest.mark.parametrize(("endpoint", "mode"), tuple(cases()))
def test_answers_are_as_described(api: Api, endpoint: Endpoint, mode: GenerationMode) -> None:
    operation = api.schema[endpoint.path][endpoint.method]
    check = check_answers(api, operation.as_strategy(generation_mode=mode), known=mode is GenerationMode.POSITIVE)
    check()


def check_answers(api: Api, cases: Any, *, known: bool) -> Callable[[], None]:
    @settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases, there=st.booleans())
    def check(case: Case[Any], there: bool) -> None:
        if known and there:
            # Paths that are made up lead nowhere.
            case.path_parameters.update({name: value for name, value in KNOWN.items() if name in case.path_parameters})
        response = case.call(headers=api.headers)
        assert response.status_code != HTTPStatus.INTERNAL_SERVER_ERROR, response.text
        case.validate_response(response, checks=list(CHECKS), headers=api.headers)

    return check
