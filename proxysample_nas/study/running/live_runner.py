"""A runner among others: it says that it lives, and notices when another no longer does."""

from __future__ import annotations

import threading
import time
from typing import Self

from proxysample.errors import InputError
from proxysample_nas.study.store.claims import Claims, RunnerRecord
from proxysample_nas.study.store.process_identity import ProcessIdentity

SECONDS_BETWEEN_HEARTBEATS = 10.0
SECONDS_UNTIL_GONE = 120.0
"""How long another machine's runner may be silent before its experiments are taken over."""

# Ids of this process's runners: one that could not remove itself from a full disk is told by them.
_LIVE_HERE: set[str] = set()


def is_gone(
    runner: RunnerRecord, seconds_silent: float, seconds_until_gone: float = SECONDS_UNTIL_GONE
) -> bool:
    """Tell whether a runner has ended, in order or not.

    A runner of this process is gone when it has left, one on this machine when its process has
    ended. Of one on another machine nothing is known but how long it has been silent.

    Parameters
    ----------
    runner : RunnerRecord
    seconds_silent : float
        Since its last heartbeat.
    seconds_until_gone : float
        How long another machine's runner may be silent.

    Returns
    -------
    bool
    """
    if runner.identity == ProcessIdentity.here():
        return runner.id not in _LIVE_HERE
    is_alive = runner.identity.is_alive()
    return seconds_silent > seconds_until_gone if is_alive is None else not is_alive


class LiveRunner:
    """Takes part in a study as this process, from entering the ``with`` block to leaving it.

    A thread renews its heartbeat. On leaving, its claims end.

    Parameters
    ----------
    claims : Claims
    runner_id : str
        Of its own.
    n_workers : int
        Experiments that it runs side by side.
    seconds_between_heartbeats, seconds_until_gone : float
    """

    def __init__(
        self,
        claims: Claims,
        runner_id: str,
        n_workers: int,
        *,
        seconds_between_heartbeats: float = SECONDS_BETWEEN_HEARTBEATS,
        seconds_until_gone: float = SECONDS_UNTIL_GONE,
    ) -> None:
        self.claims = claims
        self.id = runner_id
        self.seconds_between_heartbeats = seconds_between_heartbeats
        self.seconds_until_gone = seconds_until_gone
        now = time.time()
        self._record = RunnerRecord(self.id, ProcessIdentity.here(), n_workers, now, now)
        self._last_signs: dict[str, tuple[float, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_ended, daemon=True)

    def __enter__(self) -> Self:
        self.claims.beat(self._record)
        _LIVE_HERE.add(self.id)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        # First: on a full disk the claims stay, and another runner has to see that this is gone.
        _LIVE_HERE.discard(self.id)
        self.claims.leave(self.id)

    def claim(self, key: str, failed_at: float | None = None) -> bool:
        """Claim an experiment; see `Claims.claim`."""
        return self.claims.claim(key, self.id, failed_at)

    def remove_gone(self) -> list[str]:
        """Free the experiments of runners that are gone.

        See `is_gone`. How long a runner has been silent is told by this machine's clock from
        heartbeats that change, so that clocks that differ do no harm.

        Returns
        -------
        list of str
            Ids of the runners that were gone.
        """
        others = [one for one in self.claims.runners() if one.id != self.id]
        return [
            one.id
            for one in others
            if is_gone(one, self._seconds_silent(one), self.seconds_until_gone)
            and self.claims.remove(one)
        ]

    def _seconds_silent(self, runner: RunnerRecord) -> float:
        now = time.monotonic()
        heartbeat, seen = self._last_signs.get(runner.id, (None, now))
        if heartbeat != runner.heartbeat:
            self._last_signs[runner.id] = (runner.heartbeat, now)
            return 0.0
        return now - seen

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(self.seconds_between_heartbeats):
            try:
                self.claims.beat(self._record)
            except InputError:
                # The file is out of reach for a while. Should it stay so, this runner's results
                # cannot be kept, and writing them says why.
                continue
