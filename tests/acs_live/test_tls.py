"""The ACS over TLS of its own."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.sim.cpe.model import Model
from agent.sim.cpe.records import Outcome
from agent.sim.cpe.wire import Wire
from agent.sim.postgres import EmbeddedPostgres
from tests.acs_live.conftest import Ground
from tests.acs_live.cpes import CpeMaker, clean, told_values
from tests.acs_live.process import HOST, Acs
from tests.acs_live.records import Records
from tests.acs_live.waiting import until
from tests.postgres_fixture import fresh_database, missing_service


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


def make_pair(folder: Path, name: str, authority: Pair | None = None) -> Pair:
    """Signed by `authority`; without one it is an authority itself."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    bare = folder / "openssl.cnf"
    bare.write_text("[req]\ndistinguished_name = nobody\n[nobody]\n")
    signer: list[str | Path] = ["-CA", authority.certificate, "-CAkey", authority.key] if authority else []
    command: list[str | Path] = ["openssl", "req", "-x509", "-config", bare, "-nodes", "-days", "2"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}", *signer]
    command += ["-addext", f"basicConstraints=critical,CA:{'FALSE' if authority else 'TRUE'}"]
    command += ["-addext", f"subjectAltName=IP:{HOST}", "-keyout", pair.key, "-out", pair.certificate]
    subprocess.run(command, check=True, capture_output=True)
    return pair


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """`acs` is the server's own, `cpe` is what the authority has signed, `stranger` what another one has."""
    if shutil.which("openssl") is None:
        missing_service("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = make_pair(folder, "authority"), make_pair(folder, "other")
    return {
        "authority": authority,
        "acs": make_pair(folder, "acs", authority),
        "cpe": make_pair(folder, "cpe", authority),
        "stranger": make_pair(folder, "stranger", other),
    }


@pytest.fixture(scope="module")
def ground(
    pairs: dict[str, Pair], postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, small: Model
) -> Iterator[Ground]:
    """An ACS that wants to see a certificate."""
    settings = {
        "tls_certificate": pairs["acs"].certificate,
        "tls_key": pairs["acs"].key,
        "tls_client_ca": pairs["authority"].certificate,
    }
    with fresh_database(postgres_server) as url:
        acs = Acs(url, tmp_path_factory.mktemp("acs"), settings)
        try:
            until(lambda: acs.workers() or acs.ended, "it has begun")
            yield Ground(acs=acs, records=Records(url), make_cpe=CpeMaker(f"https://{HOST}:{acs.port}/", small))
        finally:
            acs.stop()
            print(acs.log)


def context(pairs: dict[str, Pair], own: str | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=pairs["authority"].certificate)
    if own is not None:
        made.load_cert_chain(pairs[own].certificate, pairs[own].key)
    return made


def test_with_a_certificate_of_the_right_authority(ground: Ground, pairs: dict[str, Pair]) -> None:
    cpe = ground.make_cpe(wire=Wire(tls=context(pairs, "cpe"), new_connection_per_post=True))
    until(lambda: ground.records.rows("SELECT 1 FROM devices") or cpe.run_session().completed, "it answers")
    assert ground.records.values(cpe.device_id) == told_values(cpe)
    assert clean(cpe.run_session())


@pytest.mark.parametrize("own", [None, "stranger"])
def test_without_one_or_with_a_strangers(own: str | None, ground: Ground, pairs: dict[str, Pair]) -> None:
    cpe = ground.make_cpe(wire=Wire(tls=context(pairs, own)))
    report = cpe.run_session()
    assert report.outcome in (Outcome.BROKEN, Outcome.UNREACHABLE)
    assert not ground.records.is_known(cpe.device_id)


def test_old_tls_is_refused(ground: Ground, pairs: dict[str, Pair]) -> None:
    old = context(pairs, "cpe")
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    report = ground.make_cpe(wire=Wire(tls=old)).run_session()
    assert report.outcome in (Outcome.BROKEN, Outcome.UNREACHABLE)
