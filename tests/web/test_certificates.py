"""The certificate that the server makes itself: good for its names, closed to others, made anew in time."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from agent.core.clock import wall
from agent.core.errors import ConfigError
from agent.core.settings.schema import WebSettings
from agent.web.certificates import DAYS, RENEW_DAYS, provide_certificate, read_certificate
from agent.web.tls import certificate_of, names_of
from tests.store.farm import eventually
from tests.web.test_server import ROOT, free_tcp_port

NAMES = ("farm.example.org", "192.0.2.7", "2001:db8::7")


def test_it_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    made = provide_certificate(folder, NAMES, wall())
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(made.fingerprint.split(":")) == 32
    assert provide_certificate(folder, NAMES, wall()) == made
    assert read_certificate(made.certificate, made.key) == made


def test_it_is_made_anew_before_it_ends_and_for_other_names(tmp_path: Path) -> None:
    first = provide_certificate(tmp_path, NAMES, wall())
    near_its_end = wall() + timedelta(days=DAYS - RENEW_DAYS + 1)
    assert first.ends_soon(near_its_end)
    second = provide_certificate(tmp_path, NAMES, near_its_end)
    assert second.fingerprint != first.fingerprint
    third = provide_certificate(tmp_path, (*NAMES, "more.example.org"), wall())
    assert third.fingerprint != second.fingerprint


def test_a_broken_one_is_made_anew(tmp_path: Path) -> None:
    first = provide_certificate(tmp_path, NAMES, wall())
    other = provide_certificate(tmp_path / "other", NAMES, wall())
    first.key.write_bytes(other.key.read_bytes())
    with pytest.raises(ConfigError, match="not the key"):
        read_certificate(first.certificate, first.key)
    second = provide_certificate(tmp_path, NAMES, wall())
    assert read_certificate(second.certificate, second.key) == second
    second.certificate.write_text("garbage")
    third = provide_certificate(tmp_path, NAMES, wall())
    assert read_certificate(third.certificate, third.key) == third


def test_a_given_one_must_be_there_and_whole(tmp_path: Path) -> None:
    settings = WebSettings(tls="given", tls_certificate=tmp_path / "a.crt", tls_key=tmp_path / "a.key")
    with pytest.raises(ConfigError, match=r"a\.crt"):
        certificate_of(settings)
    with pytest.raises(ValueError, match="tls_certificate"):
        WebSettings(tls="given")
    with pytest.raises(ValueError, match="together"):
        WebSettings(tls_certificate=tmp_path / "a.crt")


def test_the_names_are_those_that_browsers_use() -> None:
    names = names_of(WebSettings(listen="192.0.2.7", host_names=("farm.example.org",)))
    assert names[0] == "farm.example.org"
    assert {"192.0.2.7", "localhost", "127.0.0.1", "::1"} <= set(names)
    assert "0.0.0.0" not in names_of(WebSettings(listen="0.0.0.0"))


def test_the_server_speaks_tls_and_serves_a_new_certificate_by_itself(database_url: str, tmp_path: Path) -> None:
    port = free_tcp_port()
    settings = {"tcp_port": port, "threads": 8, "event_streams": 2, "tls": "self-made", "state_dir": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.web.serving_tls", database_url, json.dumps(settings)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def asked() -> httpx.Response | None:
        try:
            context = ssl.create_default_context(cafile=tmp_path / "web.crt")
            return httpx.get(f"https://localhost:{port}/login", verify=context, timeout=10)
        except (OSError, httpx.TransportError):
            return None

    try:
        eventually(lambda: asked() is not None, 60)
        answer = asked()
        assert answer is not None
        assert answer.status_code == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        first = ssl.get_server_certificate(("127.0.0.1", port))
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://localhost:{port}/login", timeout=5)
        (tmp_path / "web.crt").unlink()
        eventually(lambda: asked() is not None and ssl.get_server_certificate(("127.0.0.1", port)) != first, 60)
    finally:
        process.terminate()
        _, told = process.communicate(timeout=30)
    assert "fingerprint" in told
    assert process.returncode == 0, told
