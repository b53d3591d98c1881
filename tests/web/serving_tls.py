"""`python -m tests.web.serving_tls DATABASE-URL SETTINGS-AS-JSON`: the real server over TLS, which looks at its
certificate twice a second."""

from __future__ import annotations

import json
import logging
import sys
from functools import partial

from agent.core.settings.schema import WebSettings
from agent.web import tls
from agent.web.server import serve
from tests.web.conftest import make_services


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    url, settings = sys.argv[1:]
    web = WebSettings.model_validate(json.loads(settings))
    tls.LOOK_SECONDS = 0.5
    serve(web, partial(make_services, url, web))


if __name__ == "__main__":
    main()
