"""`python -m tests.web.serving DATABASE-URL TCP-PORT [FILE-DIRECTORY] [--quick]`: the real server, as `lastmile web`
has it; `--quick`: its streams beat, and ask whether they may go on, all the time."""

from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path

from agent.core.settings.schema import AcsSettings, WebSettings
from agent.web import live
from agent.web.server import serve
from tests.web.conftest import make_services


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if "--quick" in sys.argv:
        sys.argv.remove("--quick")
        live.HEARTBEAT_SECONDS, live.RECHECK_SECONDS = 0.1, 0.3
    url, port, *directories = sys.argv[1:]
    acs = AcsSettings(file_dir=Path(directories[0])) if directories else AcsSettings()
    settings = WebSettings(tcp_port=int(port), threads=8, event_streams=2)
    serve(settings, partial(make_services, url, settings, acs), on_ready=lambda: print("ready", flush=True))
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
