"""A certificate of one's own for TLS: made when there is none, and anew before it ends or when the names change."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.core.atomic import atomic_write
from agent.core.errors import ConfigError

logger = logging.getLogger(__name__)

DAYS = 397
"""What browsers take at most of public authorities (CA/Browser Forum BR §6.3.2); people get used to one pace."""
RENEW_DAYS = 30
CLOCK_DAYS = 1
"""It is valid from this long ago: clocks differ."""
CERTIFICATE = "web.crt"
KEY = "web.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Where a certificate and its key are, and what is to be known of it."""

    certificate: Path
    key: Path
    fingerprint: str
    """SHA-256, as browsers show it."""
    ends_at: datetime

    def ends_soon(self, at: datetime) -> bool:
        """Whether it is time for a new one."""
        return at >= self.ends_at - timedelta(days=RENEW_DAYS)


def provide_certificate(folder: Path, names: Sequence[str], at: datetime) -> Certificate:
    """The certificate in `folder` for these names and addresses, made if there is none that is good for a while.

    Raises ConfigError when the folder cannot be written."""
    found = _read(folder, names)
    if found is not None and not found.ends_soon(at):
        return found
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = _make(folder, names, at)
    except OSError as error:
        raise ConfigError(f"no certificate can be made in {folder}: {error.strerror}") from error
    extra = {"FINGERPRINT": made.fingerprint, "UNTIL": f"{made.ends_at:%Y-%m-%d}"}
    logger.warning("a certificate was made: SHA-256 fingerprint %s", made.fingerprint, extra=extra)
    return made


def read_certificate(certificate: Path, key: Path) -> Certificate:
    """What there is at these paths. Raises ConfigError when it is no certificate, or the key is not its own."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{certificate} and {key} are no certificate and key in PEM without a password") from error
    if parsed.public_key() != private.public_key():
        raise ConfigError(f"{key} is not the key of {certificate}")
    return Certificate(
        certificate=certificate, key=key, fingerprint=_fingerprint(parsed), ends_at=parsed.not_valid_after_utc
    )


def _read(folder: Path, names: Sequence[str]) -> Certificate | None:
    """The one that was made before; None when there is none for these names."""
    certificate, key = folder / CERTIFICATE, folder / KEY
    if not certificate.exists() or not key.exists():
        return None
    try:
        found = read_certificate(certificate, key)
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
        extension = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ConfigError, ValueError, x509.ExtensionNotFound) as error:
        logger.warning("the certificate cannot be used; a new one is made", extra={"ERROR": str(error)})
        return None
    return found if set(extension) == set(_alternatives(names)) else None


def _make(folder: Path, names: Sequence[str], at: datetime) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (names[0] if names else "lastmile")[:64])])
    begin = at.astimezone(UTC).replace(microsecond=0)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(days=CLOCK_DAYS))
        .not_valid_after(begin + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The key first: a certificate without its own key is seen, and made anew.
    atomic_write(folder / KEY, private.decode("ascii"), mode=0o600)
    atomic_write(folder / CERTIFICATE, signed.public_bytes(serialization.Encoding.PEM).decode("ascii"), mode=0o644)
    return Certificate(
        certificate=folder / CERTIFICATE,
        key=folder / KEY,
        fingerprint=_fingerprint(signed),
        ends_at=signed.not_valid_after_utc,
    )


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _fingerprint(certificate: x509.Certificate) -> str:
    digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
