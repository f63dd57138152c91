"""What tests of executors have in common."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

from sums_plugin import Doubling, Mishap

EXPERIMENTS = [*(Doubling({"index": index}) for index in range(3)), Mishap({"way": "", "until": 9})]


def run_all(executor, experiments):
    """Run experiments in an executor that is open; give outcomes by their keys."""
    outcomes = {}
    waiting = list(experiments)
    while waiting or executor.n_running:
        while waiting and executor.has_room:
            executor.submit(waiting.pop())
        for experiment, outcome in executor.collect(1.0):
            outcomes[experiment.key] = outcome
    return outcomes


def lost(monkeypatch) -> Doubling:
    """Give an experiment whose module only this process has."""
    module = ModuleType("nowhere_else")
    module.Lost = type("Lost", (Doubling,), {"__module__": module.__name__})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.Lost({"index": 0, "is": "lost"})


def check_same(here, there) -> None:
    """Check that outcomes are the same to the bit, whatever machine they are of."""
    assert here.keys() == there.keys()
    for key, one in here.items():
        other = there[key]
        assert (one.payload, one.error) == (other.payload, other.error)
        if one.result is not None:
            machines = [outcome.result.pop("machine") for outcome in (one, other)]
            assert machines[0]["n_threads"] == machines[1]["n_threads"]
        assert one.result == other.result


# A script of a user's own, with experiments that no module holds.
SCRIPT = """
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from proxysample import InputError
from proxysample.experiments.experiment import Outcome
from proxysample.experiments.executors import create_executor
from sums_plugin import Doubling, SumsContext

class Own(SumsContext):
    def info(self):
        return [10 * number for number in super().info()]

    def ship(self):
        return super().info()

@dataclass(frozen=True, eq=False)
class Tripling(Doubling):
    kind: ClassVar[str] = "tripling"

    def run(self, context):
        return Outcome({"number": 3 * context.info()[self.specification["index"]]})

if __name__ == "__main__":
    @dataclass(frozen=True, eq=False)
    class Hidden(Tripling):
        kind: ClassVar[str] = "hidden"

    class HiddenContext(Own):
        pass

    path, executor, what, *address = Path(sys.argv[1]), *sys.argv[2:]
    context = (HiddenContext if what == "context" else Own)(path)
    elsewhere = {"address": address[0]} if address else {}
    with create_executor(context, executor, n_workers=1, **elsewhere) as executor:
        for kind in [Hidden, Tripling] if what == "experiment" else [Tripling]:
            executor.submit(kind({"index": 1}))
            ended = []
            try:
                while not ended:
                    ended = executor.collect(1.0)
            except InputError as error:
                print("refused:", error)
                break
            ((_, outcome),) = ended
            print(outcome.result or outcome.error)
        if address:
            import ray
            print(ray.get_runtime_context().gcs_address)
"""


def run_script(folder, executor: str, what: str = "", *address: str) -> list[str]:
    """Run the script, on a cluster that runs at an address; give a line an experiment."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, "-W", "ignore", script, folder / "numbers.json", executor, what]
    words += address
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
