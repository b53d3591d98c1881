"""`python -m tests.web.serving DATABASE-URL TCP-PORT`: the real server, as `lastmile web` starts it."""

from __future__ import annotations

import logging
import sys
from functools import partial

from agent.core.settings.schema import WebSettings
from agent.web.server import serve
from tests.web.conftest import make_services


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    url, port = sys.argv[1:]
    settings = WebSettings(tcp_port=int(port), threads=8, event_streams=2)
    serve(settings, partial(make_services, url, settings), on_ready=lambda: print("ready", flush=True))
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
