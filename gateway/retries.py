"""Trying again: only what may be repeated, few times, with growing random pauses, and within a budget.

The MLflow client repeats every request up to eight times by itself, so each retry here is multiplied there; the budget
keeps an outage from being answered with more load. (Finagle's RetryBudget; full jitter as in "Exponential Backoff And
Jitter", AWS Architecture Blog.)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.failure import HopError

TRIES = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_PER_REQUEST, _RESERVE = 0.1, 10.0
"""Retries that a request pays in, and how many may be saved up: one in ten, after a first ten."""

Outcome = TypeVar("Outcome")


class Retries:
    """For one server. ``made`` counts the retries."""

    def __init__(self) -> None:
        self.made = 0
        self._budget = _RESERVE

    async def run(self, once: Callable[[int], Awaitable[Outcome]], may_repeat: Callable[[], bool]) -> Outcome:
        """The outcome of ``once``, which gets the number of the try, from 1 on. Raises the last HopError.

        A failure that will not pass is final; one before which nothing was sent may be repeated by all; for the rest
        ``may_repeat`` is asked.
        """
        self._budget = min(_RESERVE, self._budget + _PER_REQUEST)
        tries = 1
        while True:
            try:
                return await once(tries)
            except HopError as error:
                failure = error.failure
                repeatable = failure.passing and (not failure.sent or may_repeat())
                if not repeatable or tries == TRIES or self._budget < 1:
                    raise
            self._budget -= 1
            self.made += 1
            await asyncio.sleep(pause(tries))
            tries += 1


def pause(tries: int) -> float:
    """Seconds before the try after the ``tries``-th."""
    return random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tries - 1)))  # noqa: S311 - no secret
