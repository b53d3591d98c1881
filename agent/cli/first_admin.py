"""At the first start nobody can sign in: the console and the log get a one-time link that makes the first admin."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from agent.core.clock import BackOff
from agent.core.errors import AgentError, TransientError

if TYPE_CHECKING:
    from agent.core.settings.schema import WebSettings
    from agent.web.services import Access

logger = logging.getLogger(__name__)

BACK_OFF = BackOff(first_seconds=1.0, most_seconds=60.0)


def announce_first_admin(access: Access, settings: WebSettings) -> threading.Thread:
    """Tell of the link from a thread of its own, since the database may still be away; the thread, which ends then."""
    thread = threading.Thread(target=_announce, args=(access, settings), name="first-admin", daemon=True)
    thread.start()
    return thread


def _announce(access: Access, settings: WebSettings) -> None:
    pause = threading.Event()
    failures = 0
    while True:
        try:
            announce_once(access, settings)
        except TransientError as error:
            logger.debug("the first admin's link must wait", extra={"ERROR": str(error)})
        except AgentError as error:
            logger.warning("the first admin's link cannot be made", extra={"ERROR": str(error)})
            return
        else:
            return
        pause.wait(BACK_OFF.wait_seconds(failures))
        failures += 1


def announce_once(access: Access, settings: WebSettings) -> str | None:
    """Make the link, if there is no admin and no link, and tell it; return it. Raises TransientError."""
    from agent.cli.setup_address import setup_address

    if access.operators.has_admin():
        return None
    if access.links.waits_for_first_admin():
        logger.warning("nobody can sign in yet, and a link was made already; a new one: lastmile operator setup-link")
        return None
    link = setup_address(settings, access.links.create(None, "lastmile web"))
    logger.warning("nobody can sign in yet; this link makes the first admin, once, within 24 hours: %s", link)
    if sys.stdout.isatty():
        print(f"\nNobody can sign in yet. This link makes the first admin, once, within 24 hours:\n\n  {link}\n")
    return link
