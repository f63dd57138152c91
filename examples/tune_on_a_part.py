"""Tune a model on small parts of the training data first, and only the promising on all of it.

    .venv/bin/python examples/tune_on_a_part.py                # the digits, by Optuna
    .venv/bin/python examples/tune_on_a_part.py --tuner ray    # the digits, by Ray Tune

A nested ranking is an axis of fidelity: what r = 1/16 keeps is part of what r = 1/4 keeps. Every
configuration is trained on the smallest part; of those that have come to a size, the best quarter
goes on to the next (successive halving). Beside it all configurations are trained on all samples,
which is what that is to find, and cost is told: samples times epochs in units of one training on
all, and processor seconds.

On features of CIFAR-100, a linear head by stochastic gradient descent:

    .venv/bin/python examples/tune_on_a_part.py --dataset npz:PATH --features FEATURES.npy

where the file holds the features of the training part and then of the test part, (n, d).
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from proxysample import Ranking, create_sampler, load_dataset
from proxysample.registry import takes_parameter

FACTOR = 4
RATIOS = (1 / 16, 1 / 4, 1.0)


@dataclass
class Problem:
    """What is tuned: accuracy on held-out samples of the training part, after a training."""

    configurations: list[dict[str, Any]]
    train: Callable[[dict[str, Any], np.ndarray], Callable[[np.ndarray], np.ndarray]]
    """Takes a configuration and rows; gives what predicts classes from features."""
    ranking: Ranking
    features: np.ndarray
    labels: np.ndarray
    held_out: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    samples: int = field(default=0)
    seconds: float = field(default=0.0)
    curve: list[tuple[float, float]] = field(default_factory=list)
    """What was spent, in trainings on all, when one on all samples ended; and its accuracy."""

    def accuracy(self, configuration: dict[str, Any], r: float) -> float:
        """Train on what r keeps, and count the cost."""
        kept = self.ranking.select(r)
        started = time.process_time()
        predict = self.train(configuration, kept)
        features, labels = self.held_out
        found = float((predict(features) == labels).mean())
        self.samples += len(kept)
        self.seconds += time.process_time() - started
        if r == 1:
            self.curve.append((self.samples / len(self.labels), found))
        return found

    def cost(self) -> str:
        """Tell what was spent since it was told last."""
        words = f"{self.samples / len(self.labels):.2f} full trainings, {self.seconds:.1f} s of CPU"
        self.samples, self.seconds, self.curve = 0, 0.0, []
        return words

    def test_accuracy(self, configuration: dict[str, Any]) -> float:
        """Train on all, and look at the test part."""
        predict = self.train(configuration, np.arange(len(self.labels)))
        features, labels = self.test
        return float((predict(features) == labels).mean())


def grid(**values: list[Any]) -> list[dict[str, Any]]:
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def by_optuna(problem: Problem, seed: int) -> dict[str, Any]:
    """Let Optuna go through the configurations, and stop those that promise little."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        place = trial.suggest_int("configuration", 0, len(problem.configurations) - 1)
        configuration = problem.configurations[place]
        for rung, r in enumerate(RATIOS):
            accuracy = problem.accuracy(configuration, r)
            trial.report(accuracy, step=FACTOR**rung)
            if r < 1 and trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    places = list(range(len(problem.configurations)))
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.GridSampler({"configuration": places}, seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR),
    )
    study.optimize(objective, n_trials=len(places))
    return problem.configurations[study.best_params["configuration"]]


def by_ray(problem: Problem, seed: int, cores: int = 2) -> dict[str, Any]:
    """Let Ray Tune do the same, so many trainings side by side in processes of their own."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    order = np.random.default_rng(seed).permutation(len(problem.configurations))
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = tune.Tuner(
                # The data go to Ray once, and not with each trial.
                tune.with_parameters(train_in_trial, problem=problem),
                param_space={"configuration": tune.grid_search(order.tolist())},
                tune_config=tune.TuneConfig(
                    metric="accuracy",
                    mode="max",
                    scheduler=ASHAScheduler(
                        time_attr="step",
                        grace_period=1,
                        max_t=FACTOR ** (len(RATIOS) - 1),
                        reduction_factor=FACTOR,
                    ),
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(verbose=0, storage_path=folder),
            ).fit()
            if results.errors:
                raise results.errors[0]
            trials = [one.metrics for one in results]
    finally:
        ray.shutdown()
    problem.samples = sum(one["samples"] for one in trials)
    problem.seconds = sum(one["seconds"] for one in trials)
    # Of those that have seen all samples.
    last = max(one["step"] for one in trials)
    best = max((one for one in trials if one["step"] == last), key=lambda one: one["accuracy"])
    return problem.configurations[best["config"]["configuration"]]


def train_in_trial(config: dict[str, Any], problem: Problem) -> None:
    """Train a configuration on one part after the other, as far as the scheduler lets it."""
    from ray import tune

    configuration = problem.configurations[config["configuration"]]
    problem.samples, problem.seconds = 0, 0.0
    for rung, r in enumerate(RATIOS):
        accuracy = problem.accuracy(configuration, r)
        spent = {"samples": problem.samples, "seconds": problem.seconds}
        tune.report({"accuracy": accuracy, "step": FACTOR**rung, **spent})


def draw(curves: dict[str, list[tuple[float, float]]], path: str) -> None:
    """Draw the accuracy of the best so far over what was spent."""
    from proxysample.figures import HUES, INK, create_figure, save_figure, settle_layout

    figure = create_figure(6.0, 3.4)
    axes = figure.subplots()
    for (name, curve), color in zip(curves.items(), (INK, *HUES), strict=False):
        spent, found = zip(*curve, strict=True)
        best = 100 * np.maximum.accumulate(found)
        axes.step(spent, best, where="post", color=color, marker=".", label=name)
    axes.set_xlabel("spent, in trainings on all samples")
    axes.set_ylabel("best held-out accuracy so far, %")
    axes.grid(color="#d5dbe1", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    settle_layout(figure)
    save_figure(figure, path)


TUNERS = {"optuna": by_optuna, "ray": by_ray}


def make_problem(
    configurations: list[dict[str, Any]],
    learner: Callable[..., Callable[[np.ndarray], np.ndarray]],
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    sampler: str,
    every: int,
) -> Problem:
    """Hold out every so manieth sample of the training part, and rank the others."""
    features, labels = train
    out = np.arange(len(labels)) % every == every - 1
    left, left_labels = features[~out], labels[~out]
    own = {"random_state": 0} if takes_parameter(sampler, "random_state") else {}
    if takes_parameter(sampler, "features"):
        own["features"] = left
    ranking = create_sampler(sampler, **own).rank(left, y=left_labels)
    return Problem(
        configurations,
        lambda configuration, rows: learner(left[rows], left_labels[rows], **configuration),
        ranking,
        left,
        left_labels,
        (features[out], labels[out]),
        test,
    )


def digits_problem(sampler: str) -> Problem:
    """A support vector machine on the digits: its penalty and the width of its kernel."""
    from sklearn.svm import SVC

    def learner(
        features: np.ndarray, labels: np.ndarray, penalty: float, gamma: float
    ) -> Callable[[np.ndarray], np.ndarray]:
        return SVC(C=penalty, gamma=gamma).fit(features, labels).predict

    splits = load_dataset("digits")
    train, test = (
        (part.images.reshape(len(part), -1) / 255, np.asarray(part.targets))
        for part in (splits.train, splits.require_test())
    )
    configurations = grid(
        penalty=[0.1, 1.0, 10.0, 100.0], gamma=[0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
    )
    return make_problem(configurations, learner, train, test, sampler, every=4)


def features_problem(dataset: str, path: str, sampler: str, epochs: int) -> Problem:
    """A linear head on features: learning rate, weight decay and smoothing of labels."""
    splits = load_dataset(dataset)
    labels, test_labels = (
        np.asarray(part.targets, dtype=np.int64) for part in (splits.train, splits.require_test())
    )
    both = np.array(np.load(path, mmap_mode="r"), dtype=np.float32)
    both -= both[: len(labels)].mean(axis=0)
    *_, directions = np.linalg.svd(both[:8_000], full_matrices=False)
    both = both @ directions[:256].T
    both /= both[: len(labels)].std()
    configurations = grid(
        rate=[0.01, 0.03, 0.1, 0.3], decay=[1e-5, 5e-4, 5e-3], smoothing=[0.0, 0.1]
    )

    def learner(
        features: np.ndarray, labels: np.ndarray, **configuration: float
    ) -> Callable[[np.ndarray], np.ndarray]:
        return linear_head(features, labels, epochs=epochs, **configuration)

    train, test = both[: len(labels)], both[len(labels) :]
    return make_problem(
        configurations, learner, (train, labels), (test, test_labels), sampler, every=10
    )


def linear_head(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    rate: float,
    decay: float,
    smoothing: float,
    epochs: int,
) -> Callable[[np.ndarray], np.ndarray]:
    """Train a linear classifier by stochastic gradient descent with a cosine schedule."""
    import torch

    inputs, targets = torch.from_numpy(features), torch.from_numpy(labels)
    head = torch.nn.Linear(features.shape[1], int(labels.max()) + 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimizer = torch.optim.SGD(head.parameters(), rate, momentum=0.9, weight_decay=decay)
    n_steps = epochs * -(-len(labels) // 256)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(256):
            loss = torch.nn.functional.cross_entropy(
                head(inputs[rows]), targets[rows], label_smoothing=smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    def predict(given: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return head(torch.from_numpy(given)).argmax(dim=1).numpy()

    return predict


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tuner", choices=sorted(TUNERS), default="optuna")
    parser.add_argument("--sampler", default="herding", help="whose ranking decides the parts")
    parser.add_argument("--dataset", help="with --features")
    parser.add_argument("--features", help="an .npy of features, training part first")
    parser.add_argument("--epochs", type=int, default=10, help="of the head on features")
    parser.add_argument("--seeds", type=int, default=3, help="orders of the configurations")
    parser.add_argument("--no-full", action="store_true", help="leave all samples for all out")
    parser.add_argument("--figure", help="draw what Optuna and all samples find, as an SVG or PNG")
    options = parser.parse_args(arguments)
    if options.features is None:
        problem = digits_problem(options.sampler)
    else:
        problem = features_problem(
            options.dataset, options.features, options.sampler, options.epochs
        )
    n = len(problem.configurations)
    print(f"{n} configurations, {len(problem.labels):,} samples, parts by {options.sampler}")
    ranks: dict[int, int] = {}
    curves: dict[str, list[tuple[float, float]]] = {}
    if not options.no_full:
        accuracies = np.array([problem.accuracy(one, 1.0) for one in problem.configurations])
        ranks = {place: int((accuracies > accuracies[place]).sum()) + 1 for place in range(n)}
        best = problem.configurations[int(accuracies.argmax())]
        curves["all of them on all samples"] = problem.curve
        print(f"all of them on all samples: {problem.cost()}")
        print(f"  best {words_of(best)}: {told(problem, best, accuracies.max())}")
        others = sorted(accuracies.tolist())[::-1][1:4]
        print(f"  held-out accuracy of the next: {', '.join(f'{100 * a:.2f}' for a in others)} %")
    for seed in range(options.seeds):
        found = TUNERS[options.tuner](problem, seed)
        curves[f"successive halving, order {seed}"] = problem.curve
        spent = problem.cost()
        place = problem.configurations.index(found)
        rank = f", number {ranks[place]} of {n} on all samples" if ranks else ""
        accuracy = accuracies[place] if ranks else problem.accuracy(found, 1.0)
        problem.cost()  # what is asked here is no part of the next search
        print(f"successive halving, order {seed}: {spent}")
        print(f"  found {words_of(found)}{rank}: {told(problem, found, accuracy)}")
    if options.figure:
        draw({name: curve for name, curve in curves.items() if curve}, options.figure)


def words_of(configuration: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in configuration.items())


def told(problem: Problem, configuration: dict[str, Any], accuracy: float) -> str:
    test = problem.test_accuracy(configuration)
    return f"held-out {100 * accuracy:.2f} %, test {100 * test:.2f} %"


if __name__ == "__main__":
    main()
