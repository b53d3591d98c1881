"""TLS of the web process: which certificate, and what happens when it is near its end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from ipaddress import ip_address
from typing import Any

from granian.constants import SSLProtocols

from agent.core.clock import wall
from agent.core.errors import ConfigError
from agent.core.settings.schema import WebSettings
from agent.web.certificates import Certificate, provide_certificate, read_certificate

logger = logging.getLogger(__name__)

LOOK_SECONDS = 6 * 3600.0


def certificate_of(settings: WebSettings) -> Certificate | None:
    """The certificate to serve with, made anew where that is its way; None: plain HTTP. Raises ConfigError."""
    match settings.tls:
        case "off":
            return None
        case "self-made":
            return provide_certificate(settings.state_dir, names_of(settings), wall())
        case "given":
            assert settings.tls_certificate is not None
            assert settings.tls_key is not None
            return read_certificate(settings.tls_certificate, settings.tls_key)


def names_of(settings: WebSettings) -> tuple[str, ...]:
    """The names and addresses that browsers may call this server by."""
    listen = () if ip_address(settings.listen).is_unspecified else (settings.listen,)
    return tuple(dict.fromkeys((*settings.host_names, socket.gethostname(), *listen, "localhost", "127.0.0.1", "::1")))


def server_options(certificate: Certificate | None) -> dict[str, Any]:
    """What granian is told."""
    if certificate is None:
        return {}
    return {
        "ssl_cert": certificate.certificate,
        "ssl_key": certificate.key,
        "ssl_protocol_min": SSLProtocols.tls12,
    }


def watch_certificate(settings: WebSettings, served: Certificate) -> threading.Thread:
    """For the process that serves: when the certificate is near its end, or another is there in its place, have the
    process above replace this one (SIGHUP), since a certificate is only read at the start."""
    thread = threading.Thread(target=_watch, args=(settings, served), name="certificate", daemon=True)
    thread.start()
    return thread


def _watch(settings: WebSettings, served: Certificate) -> None:
    pause = threading.Event()
    while not pause.wait(LOOK_SECONDS):
        try:
            there = certificate_of(settings)
        except ConfigError as error:
            logger.warning("the certificate cannot be renewed", extra={"ERROR": str(error)})
            continue
        if there is not None and there.fingerprint != served.fingerprint:
            logger.info("another certificate is served from now on", extra={"FINGERPRINT": there.fingerprint})
            os.kill(os.getppid(), signal.SIGHUP)
            return
        if there is not None and there.ends_soon(wall()):
            logger.warning("the certificate ends soon", extra={"UNTIL": f"{there.ends_at:%Y-%m-%d}"})
