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

        A runner on this machine is gone when its process is. One on another machine is gone
        when it has been silent for `seconds_until_gone` by this machine's clock, so that clocks
        that differ do no harm.

        Returns
        -------
        list of str
            Ids of the runners that were gone.
        """
        others = [one for one in self.claims.runners() if one.id != self.id]
        return [one.id for one in others if self._is_gone(one) and self.claims.remove(one)]

    def _is_gone(self, runner: RunnerRecord) -> bool:
        if runner.identity == self._record.identity and runner.id not in _LIVE_HERE:
            return True
        is_alive = runner.identity.is_alive()
        if is_alive is not None:
            return not is_alive
        now = time.monotonic()
        sign, seen = self._last_signs.get(runner.id, (None, now))
        if sign != runner.heartbeat:
            self._last_signs[runner.id] = (runner.heartbeat, now)
            return False
        return now - seen > self.seconds_until_gone

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(self.seconds_between_heartbeats):
            try:
                self.claims.beat(self._record)
            except InputError:
                # The file is out of reach for a while. Should it stay so, this runner's results
                # cannot be kept, and writing them says why.
                continue
