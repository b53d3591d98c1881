"""Delivers messages about alerts: several at a time, woken by the database, tried again with growing waits."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.alert.messages import read_payload
from agent.core.clock import BackOff, Deadline
from agent.core.errors import TransientError
from agent.store.alert_deliveries import AlertDeliveries, Delivery
from agent.store.alert_rows import DeliveryState
from agent.worker.telling import Heard, Letter, Senders, Told, takes_many

logger = logging.getLogger(__name__)

AT_ONCE = 8
CLAIM_MOST = 64
ATTEMPTS_MOST = 12
"""With the waits below: for about three and a half hours."""
SEND_SECONDS = 15.0
IDLE_SECONDS = 30.0
"""How often it looks by itself: a notification is only a hint."""
RETRY = BackOff(first_seconds=10.0, most_seconds=3600.0)
DATABASE_WAIT = BackOff(first_seconds=0.5, most_seconds=15.0)


class Courier:
    """Runs in a thread of its own until `stop`."""

    def __init__(
        self, deliveries: AlertDeliveries, senders: Senders, beat: Callable[[], None], *, retry: BackOff = RETRY
    ) -> None:
        self._deliveries = deliveries
        self._senders = senders
        self._beat = beat
        self._retry = retry
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="courier")
        self._running = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    def stop(self) -> None:
        """End; what is under way is waited for, as long as it may last."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(SEND_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._beat()
            self._wake.clear()
            try:
                wait = self._turn()
                failures = 0
            except TransientError as exc:
                if failures == 0:
                    logger.warning("messages about alerts must wait", extra={"REASON": str(exc)})
                wait = DATABASE_WAIT.wait_seconds(failures)
                failures += 1
            self._wake.wait(max(0.0, wait))

    def _turn(self) -> float:
        """Start what is due; how long to wait."""
        if self._running >= AT_ONCE:
            return IDLE_SECONDS  # whoever is ready first wakes us
        claimed = self._deliveries.claim(CLAIM_MOST if self._running == 0 else AT_ONCE - self._running)
        for bundle in bundles(claimed):
            with self._lock:
                self._running += 1
            self._pool.submit(self._carry_out, bundle)
        if claimed:
            return IDLE_SECONDS
        due = self._deliveries.seconds_to_next()
        # A claim of our own is among them: it is not due while it is being carried out.
        return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(due, 0.05))

    def _carry_out(self, bundle: Sequence[Delivery]) -> None:
        try:
            told = self._tell(bundle)
            self._note(bundle, told)
            target = bundle[0].destination.target_id
            extra = {"TARGET": target, "MESSAGES": len(bundle), "HEARD": told.heard.value, "REASON": told.reason}
            logger.info("a target was told of alerts", extra=extra)
        except TransientError as exc:
            # Its claim runs out, and it is sent again.
            logger.warning("a delivery's outcome is lost", extra={"REASON": str(exc)})
        except Exception:
            # The thread's boundary. What has made us stumble once would do so for ever.
            logger.exception("a delivery failed unexpectedly", extra={"DELIVERY": bundle[0].id})
            with contextlib.suppress(TransientError):
                reason = "something went wrong here; the worker's log says what"
                self._deliveries.finish([each.id for each in bundle], DeliveryState.FAILED, reason)
        finally:
            with self._lock:
                self._running -= 1
            self._wake.set()

    def _tell(self, bundle: Sequence[Delivery]) -> Told:
        if not bundle[0].enabled:
            return Told(heard=Heard.NEVER, reason="the target was switched off")
        letters = [Letter(id=each.id, message=read_payload(each.payload)) for each in bundle]
        return self._senders.send(bundle[0].destination, letters, Deadline.after(SEND_SECONDS))

    def _note(self, bundle: Sequence[Delivery], told: Told) -> None:
        ids = [each.id for each in bundle]
        attempts = max(each.attempts for each in bundle)
        match told.heard:
            case Heard.TAKEN:
                self._deliveries.finish(ids, DeliveryState.SENT, told.reason)
            case Heard.LATER if attempts < ATTEMPTS_MOST:
                wait = self._retry.wait_seconds(attempts - 1)
                self._deliveries.again(bundle[0].destination.target_id, ids, told.reason, wait)
            case _:
                self._deliveries.finish(ids, DeliveryState.FAILED, told.reason)


def bundles(deliveries: Sequence[Delivery]) -> tuple[tuple[Delivery, ...], ...]:
    """What is sent together: mail for one target in one, everything else one by one."""
    together: dict[tuple[int, int], list[Delivery]] = defaultdict(list)
    for each in deliveries:
        alone = 0 if takes_many(each.destination.kind) else each.id
        together[each.destination.target_id, alone].append(each)
    return tuple(tuple(found) for found in together.values())
