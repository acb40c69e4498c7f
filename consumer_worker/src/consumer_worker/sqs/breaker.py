"""Breakers: while something that handling needs is unavailable, no message is received.

Each dependency has a breaker: closed, open (its probe is repeated until it succeeds), or half open (one
message is tried; its outcome closes the breaker or opens it again).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from consumer_worker.sqs.backoff import full_jitter
from consumer_worker.sqs.outcomes import Outcome, Unavailable
from consumer_worker.sqs.queue import BATCH_SIZE
from consumer_worker.sqs.settings import ConsumerSettings
from consumer_worker.sqs.telemetry import ConsumerMetrics

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

TRIAL = 1
"""Messages that are received at once while a breaker is half open."""

Probe = Callable[[], Awaitable[object]]
"""Checks one dependency; raises whatever error it meets."""


@dataclass
class _Breaker:
    """One dependency that is or was unavailable."""

    reason: str
    opened_at: float
    failures: int = 0
    """In a row: probes that failed, and messages that found it unavailable while it was half open."""
    half_open: bool = False


@dataclass
class Breakers:
    """Decides how many messages may be received, by what handlers and probes report.

    A dependency without a probe is tried again after each pause. To be used in the event loop's thread.
    """

    probes: Mapping[str, Probe]
    settings: ConsumerSettings
    tasks: asyncio.TaskGroup
    metrics: ConsumerMetrics
    clock: Callable[[], float]
    on_open: Callable[[str], None]
    """Called with a reason when the first breaker opens: what is held has to be released."""
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    """Those that are not closed, by dependency."""
    _probing: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: bool = False
    _trial: str | None = None
    """The receipt of the message that is tried, "" while it is being received."""
    _trial_timer: asyncio.TimerHandle | None = None

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Why each dependency whose breaker is open is unavailable."""
        return {name: breaker.reason for name, breaker in self._breakers.items() if not breaker.half_open}

    @property
    def closed(self) -> bool:
        """Whether all are closed."""
        return not self._breakers

    async def admit(self) -> int:
        """Wait until messages may be received; return how many, 0 if the consumer stops.

        With TRIAL no other caller is admitted until this one calls `end_trial`, or until a message that it
        received has its outcome.
        """
        while self._breakers and not self._stopped:
            if self._trial is None and not self.unavailable:
                self._trial = ""
                return TRIAL
            self._changed.clear()
            await self._changed.wait()
        return 0 if self._stopped else BATCH_SIZE

    def received(self, receipts: Sequence[str]) -> None:
        """Take up the messages of one receive: one that has the trial is tried, others come too late."""
        if self.closed or not receipts:
            return
        if self._trial != "" or self.unavailable or len(receipts) > TRIAL:
            self.on_open(self._describe())
            return
        # One that takes longer than any dependency takes to refuse proves that none does.
        loop = asyncio.get_running_loop()
        self._trial = receipts[0]
        self._trial_timer = loop.call_later(self.settings.trial_seconds, self._pass_trial, self._trial)

    def end_trial(self, receipt: str = "") -> None:
        """Let another message be tried, since this one ended without an outcome or never came."""
        if self._trial == receipt:
            self._forget_trial()
            self._changed.set()

    def report(self, receipt: str, outcome: Outcome) -> None:
        """Open a breaker or close those that are half open, by the outcome of a message."""
        if isinstance(outcome, Unavailable):
            self._open(outcome.dependency, outcome.reason)
            self.end_trial(receipt)
        else:
            self._pass_trial(receipt)

    def stop(self) -> None:
        """Admit no more and end the probes."""
        self._stopped = True
        for probing in self._probing:
            probing.cancel()
        self._forget_trial()
        self._changed.set()

    def _open(self, name: str, reason: str) -> None:
        if self._stopped:
            return
        breaker = self._breakers.get(name)
        if breaker is not None and not breaker.half_open:
            return
        if breaker is None:
            breaker = self._breakers[name] = _Breaker(reason, self.clock())
            self.metrics.breakers_opened.labels(name).inc()
            self.metrics.unavailable.labels(name).set(1)
            _log.warning("breaker_opened", dependency=name, reason=reason)
        breaker.reason, breaker.half_open = reason, False
        breaker.failures += 1
        probing = self.tasks.create_task(self._probe(name, breaker))
        self._probing.add(probing)
        probing.add_done_callback(self._probing.discard)
        self.on_open(self._describe())

    async def _probe(self, name: str, breaker: _Breaker) -> None:
        """Probe until it succeeds; then the breaker is half open."""
        settings = self.settings
        while True:
            pause = full_jitter(breaker.failures, settings.probe_base_seconds, settings.probe_cap_seconds)
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(settings.probe_timeout_seconds):
                    if probe := self.probes.get(name):
                        await probe()
            except Exception as error:  # whatever it raises, the dependency is not back
                breaker.failures += 1
                breaker.reason = str(error) or type(error).__name__
            else:
                breaker.half_open = True
                self._changed.set()
                return

    def _pass_trial(self, receipt: str) -> None:
        if self._trial != receipt:
            return
        self._forget_trial()
        for name in [name for name, breaker in self._breakers.items() if breaker.half_open]:
            open_seconds = self.clock() - self._breakers.pop(name).opened_at
            self.metrics.unavailable.labels(name).set(0)
            _log.info("breaker_closed", dependency=name, open_seconds=round(open_seconds, 3))
        self._changed.set()

    def _describe(self) -> str:
        return "; ".join(
            f"{name} is unavailable: {breaker.reason}" for name, breaker in self._breakers.items()
        )

    def _forget_trial(self) -> None:
        self._trial = None
        if self._trial_timer is not None:
            self._trial_timer.cancel()
            self._trial_timer = None
