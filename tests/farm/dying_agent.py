"""`lastmile`, killed (SIGKILL) from within at a chosen moment: DYING_AFTER actions, or before a session is remembered.

Run as a program, since a kill from outside would hit the middle of an action now and then.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from agent.cli.main import main
from agent.core.identifiers import Serial
from agent.host.state_files import FileSessionMemory
from agent.modem.actions import Action
from agent.modem.executor import Bench, Executor
from agent.modem.model import DataSession

AFTER_ACTIONS = "DYING_AFTER"
BEFORE_SAVING = "DYING_BEFORE_SAVING"


def _die(where: str) -> NoReturn:
    print(f"dying {where}", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("a killed process went on")


def _die_after(actions: int) -> None:
    execute = Executor.execute
    done: list[str] = []

    def counted(self: Executor, action: Action, bench: Bench) -> None:
        execute(self, action, bench)
        done.append(type(action).__name__)
        if len(done) >= actions:
            _die(f"after {done[-1]}")

    Executor.execute = counted  # type: ignore[method-assign]


def _die_before_saving() -> None:
    def save(self: FileSessionMemory, serial: Serial, session: DataSession | None) -> None:
        del self, serial, session
        _die("with a session that nobody remembers")

    FileSessionMemory.save = save  # type: ignore[method-assign]


if __name__ == "__main__":
    if AFTER_ACTIONS in os.environ:
        _die_after(int(os.environ[AFTER_ACTIONS]))
    if BEFORE_SAVING in os.environ:
        _die_before_saving()
    main(sys.argv[1:])
