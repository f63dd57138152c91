"""The recipe of tuning on parts of the data, by Optuna and by Ray Tune."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from proxysample import create_sampler

PAGE = Path(__file__).parents[1] / "docs" / "tuning.md"
EXAMPLE = Path(__file__).parents[1] / "examples" / "tune_on_a_part.py"


@pytest.fixture(scope="module")
def example():
    name = "tune_on_a_part"
    spec = importlib.util.spec_from_file_location(name, EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks itself up there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.fixture
def problem(example):
    """Each configuration's accuracy is its own number, from a model that trains on nothing."""
    labels = np.arange(320) % 4
    features = labels[:, None].astype(float)

    def train(configuration, rows):
        wrong = configuration["wrong"]

        def predict(given):
            found = given[:, 0].copy()
            found[:wrong] += 1
            return found

        return predict

    ranking = create_sampler("cc-rs", random_state=0).rank(features, y=labels)
    held_out = (features[:40], labels[:40])
    configurations = [{"wrong": wrong} for wrong in (9, 1, 7, 30, 5, 20, 3, 12)]
    return example.Problem(configurations, train, ranking, features, labels, held_out, held_out)


def test_optuna_finds_the_best_for_less(example, problem):
    pytest.importorskip("optuna", reason="optuna is not installed (extra dev)")
    for seed in range(3):
        assert example.by_optuna(problem, seed) == {"wrong": 1}
        assert problem.samples < 0.8 * 8 * len(problem.labels)
        assert "full trainings" in problem.cost()
        assert problem.samples == 0


def test_the_digits_are_tuned_to_what_all_samples_say(example, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed (extra dev)")
    example.main(["--seeds", "1"])
    told = capsys.readouterr().out
    assert "32.00 full trainings" in told
    assert "number 1 of 32 on all samples" in told


# Ray's own needs, and what the page shows beside it.
NEEDED_BY_TUNE = ("ray", "pandas", "pyarrow", "fsspec", "requests", "optuna")
TUNED_BY_RAY = r"""
import os
import re
import sys
from functools import partial
from pathlib import Path

page, examples, folder, address = sys.argv[1:]
os.chdir(folder)
# Where tuners write that are told of no other folder.
home, os.environ["HOME"] = os.environ["HOME"], folder
sys.path.insert(0, examples)

import numpy as np
import ray
import tune_on_a_part as example
from ray import tune
from proxysample import create_sampler

page = Path(page).read_text()
labels = np.arange(320) % 4
features = labels[:, None].astype(float)

def train(configuration, rows):
    def predict(given):
        return given[:, 0] + (np.arange(len(given)) < configuration["wrong"])
    return predict

ranking = create_sampler("cc-rs", random_state=0).rank(features, y=labels)
held_out = features[:40], labels[:40]
configurations = [{"wrong": wrong} for wrong in (9, 1, 7, 30, 5, 20, 3, 12)]
problem = example.Problem(configurations, train, ranking, features, labels, held_out, held_out)
# The example starts a Ray of its own; here one runs, on which a trial at a time is to run.
start, shutdown = ray.init, ray.shutdown
def connect(*, num_cpus, include_dashboard, **options):
    assert (num_cpus, include_dashboard) == (1, False)
    os.environ["HOME"] = home  # with what it asks of those that connect
    start(address=address, **options)
    os.environ["HOME"] = folder
ray.init, ray.shutdown = connect, lambda: None
tune.TuneConfig = partial(tune.TuneConfig, max_concurrent_trials=1)
told = example.by_ray(problem, 0, cores=1), problem.samples
# What the documentation says, while Ray runs; one trial of it without another process.
optuna_s, rays = (re.findall(rf"```{kind}\n(.*?)```", page, re.S)[0] for kind in ("python", "py"))
exec(optuna_s.partition("\ndef ")[0].replace("optuna.logging", "# "))
exec(rays.replace(".fit()", ""))
reported = []
tune.report = reported.append
objective({"C": 10, "gamma": 0.1}, ranking, X, y)
shutdown()
print([one["step"] for one in reported], reported[-1]["accuracy"] > 0.9)
print(*told)
"""


def test_ray_tune_finds_the_best_for_less(running_ray, forked, tmp_path):
    """In a process of its own: Ray changes the one that imports it."""
    if missing := [one for one in NEEDED_BY_TUNE if importlib.util.find_spec(one) is None]:
        pytest.skip(f"{', '.join(missing)} not installed (pip install 'ray[tune]' optuna)")
    import ray

    address = ray.get_runtime_context().gcs_address
    process = forked(TUNED_BY_RAY, str(PAGE), str(EXAMPLE.parent), str(tmp_path), address)
    assert process.wait() == 0, process.stderr
    of_page, told = process.stdout.splitlines()[-2:]
    assert of_page == "[1, 4, 16] True"
    told, samples = told.rsplit(" ", 1)
    assert told == "{'wrong': 1}"
    # All are trained on a part; the first few go on, for want of others to compare them with.
    assert 320 * (1 + 1 / 4 + 8 / 16) <= int(samples) < 320 * 8 * 0.8
