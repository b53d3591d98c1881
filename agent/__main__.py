"""`python -m agent`: the `lastmile` command of an environment, wherever that lies."""

from __future__ import annotations

from agent.cli.main import main

main()
