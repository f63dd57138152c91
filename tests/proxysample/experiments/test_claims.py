from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from proxysample.experiments.claims import Claims, LiveRunner, ProcessIdentity, RunnerRecord
from proxysample.experiments.experiment import experiment_key
from proxysample.experiments.store import Contents, Store

SPECIFICATION = {"r": 0.5}
KEY = experiment_key("search", SPECIFICATION)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "study.sqlite", {"search": Contents()}, noun="study")


@pytest.fixture
def claims(store):
    return Claims(store.database)


def test_an_experiment_is_claimed_by_one_runner(claims):
    assert claims.claim(KEY, "a")
    assert not claims.claim(KEY, "b")
    assert not claims.claim(KEY, "a")
    assert [(one.key, one.runner) for one in claims.held()] == [(KEY, "a")]


def test_many_threads_share_keys_out_without_a_rest(claims):
    keys = [f"{number:032x}" for number in range(40)]
    won: list[str] = []

    def claim_all(runner: str) -> None:
        won.extend(key for key in keys if claims.claim(key, runner))

    threads = [threading.Thread(target=claim_all, args=[str(number)]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == keys


@pytest.mark.parametrize("fails", [False, True])
def test_a_claim_ends_with_its_experiment(store, claims, fails):
    claims.claim(KEY, "a")
    if fails:
        store.put_failure("search", SPECIFICATION, "DivergenceError: NaN", "Traceback ...")
    else:
        store.put("search", SPECIFICATION, {"cell": "|none~0|"})
    assert claims.held() == []
    assert not claims.claim(KEY, "b")


def test_a_failure_is_retried_once_however_many_ask_for_it(store, claims):
    store.put_failure("search", SPECIFICATION, "DivergenceError: NaN")
    failed_at = store.states()[KEY][1]
    assert claims.claim(KEY, "a", failed_at)
    assert store.get("search", SPECIFICATION).status == "failed"  # until there is news
    store.put_failure("search", SPECIFICATION, "DivergenceError: again")
    assert not claims.claim(KEY, "b", failed_at)


def test_the_first_result_stays(store):
    store.put("search", SPECIFICATION, {"cell": "first"})
    store.put("search", SPECIFICATION, {"cell": "second"})
    store.put_failure("search", SPECIFICATION, "OSError: late")
    assert store.get("search", SPECIFICATION).result == {"cell": "first"}


def test_a_runner_leaves_nothing_behind(claims):
    with LiveRunner(claims, "a", 2) as live:
        assert live.claim(KEY)
        (record,) = claims.runners()
        assert (record.id, record.n_workers, record.identity.pid) == ("a", 2, os.getpid())
    assert claims.runners() == []
    assert claims.held() == []


def test_a_heartbeat_is_renewed(claims):
    with LiveRunner(claims, "a", 1, seconds_between_heartbeats=0.01):
        first = claims.runners()[0].heartbeat
        deadline = time.monotonic() + 10
        while claims.runners()[0].heartbeat == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def another(claims, identity: ProcessIdentity) -> RunnerRecord:
    """A runner that has claimed an experiment."""
    record = RunnerRecord("other", identity, 1, 0.0, 0.0)
    claims.beat(record)
    claims.claim(KEY, "other")
    return record


def test_the_experiments_of_a_killed_process_are_free_at_once(claims):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = replace(ProcessIdentity.here(), pid=process.pid, process=_start(process.pid))
        another(claims, identity)
        with LiveRunner(claims, "a", 1) as live:
            assert live.remove_gone() == []
            assert not live.claim(KEY)
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
            assert live.remove_gone() == ["other"]
            assert live.claim(KEY)


def _start(pid: int) -> str:
    from proxysample.experiments.claims import _state_and_start

    return _state_and_start(pid)[1]


def test_a_process_that_got_the_number_of_another_is_not_taken_for_it():
    assert replace(ProcessIdentity.here(), process="1").is_alive() is False
    assert replace(ProcessIdentity.here(), machine="elsewhere").is_alive() is None


def test_a_silent_runner_elsewhere_is_gone_after_a_while(claims):
    record = another(claims, replace(ProcessIdentity.here(), machine="elsewhere"))
    with LiveRunner(claims, "a", 1, seconds_until_gone=0.2) as live:
        # Its clock is years behind, which says nothing.
        assert live.remove_gone() == []
        time.sleep(0.3)
        claims.beat(record)
        assert live.remove_gone() == []
        assert live.remove_gone() == []
        time.sleep(0.3)
        assert live.remove_gone() == ["other"]
        assert live.claim(KEY)


def test_a_sign_of_life_in_the_last_moment_counts(claims):
    record = another(claims, replace(ProcessIdentity.here(), machine="elsewhere"))
    seen = claims.runners()[0]
    claims.beat(record)
    assert not claims.remove(seen)
    assert claims.remove(claims.runners()[0])
