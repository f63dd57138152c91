"""The experiments of a study: what there is to do, and the keys that name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxysample_nas.space.cell import Cell
from proxysample_nas.study import Lookup, Transfer
from proxysample_nas.study.experiments.data import StudyInfo
from proxysample_nas.study.experiments.plan import Plan

from .written_store import DIGITS, IMAGENET16, write_results

PLAIN, SKIPPING = (Cell.filled(name, n_nodes=4) for name in ("nor_conv_1x1", "skip_connect"))

# What was finished under these keys would be done again under others. Those of km-or are of its
# second version, which scores otherwise.
KEYS = {
    "selection": ["35f5f617e15ac9836e05228e59aafcd1", "02b259be3e38014a3046569d0f559ce6"],
    "search": [
        "cb952b741cacd81af0aa2d38561e6ff9",
        "d9ae237f876317663954920342185c51",
        "a401c82ea4512cb4f991d4e61e9cfd1d",
        "05df7dc9f26b3d15edf25406f7724e2b",
        "37bcd6a7e726caa1fed9ccd92e393a67",
        "b7dc320009083ea5473b7aa66caa1ff7",
        "9c76fbe013762f169a6196523b8f3940",
        "aab44b13909edb31ceaf0bcd2ecc9638",
        "99d1b1ef39b6b30185ce6e1684826346",
        "6d3bdad8a282c769bc799136f853d64b",
        "b6d2def27b23324cc0b7d22107b00fc0",
        "2840333f7a1975dc7c00b495c2db9041",
    ],
    "evaluation": [
        "238bdb7b8cb84d9f1c7c7969640eb7bf",
        "8c8d0768a0c2c42ead4b7c6c36853e7f",
        "42407ef3ecc9f6c7eef53f282cc5abe4",
        "e1d147d149959113d95d07bc386dda3c",
        "0f27e69dcb37ea700ce3ece4acc61d44",
        "5e533f9607646d9e575199b0efb60845",
        "42b5905c317691fbfe3b83df8e51f3a5",
        "a71dff287b209e3e0e67ed736715e937",
    ],
    "transfer": [
        "a6c85e56806d5222acd702604ce81564",
        "f99559f1fca710bae6582b2b50dd3b04",
        "a41e96c265da81bee26a96f02ff08074",
        "a4d81a248f455e38b7bd79274b690791",
    ],
}
KEYS_OF_A_LOOKUP = {
    "selection": ["35f5f617e15ac9836e05228e59aafcd1"],
    "search": ["bf637b4198fd2298f75ad48ecf661ab1", "8234779df58c5188199d417aa0916afb"],
    "evaluation": ["aa138c20250263299575b4dc603113e0", "30917e7629294d6f0964ffd5c8753147"],
}


def keys(plan: Plan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in plan.progress().all_experiments():
        found.setdefault(one.stage, []).append(one.key)
    return found


def settings(**changed: Any) -> dict[str, Any]:
    return {
        "samplers": ["rs", "km-or:n_clusters=5"],
        "searchers": ["random:n_samples=3", "darts-v2:protocol=paper", "gdas", "enas:epochs=3"],
        "architecture_data": "test-half",
        "channels": [16, 32],
        "seeds": [777, 888],
        "recipe": "paper",
        "training": {"epochs": 2},
        "transfers": [
            Transfer(dataset="other", n_best=1, channels=8, recipe="paper", training={"epochs": 1})
        ],
    } | changed


def test_every_kind_keeps_the_keys_that_stores_were_written_with(tmp_path: Path) -> None:
    results = write_results(
        tmp_path,
        lambda setting, seed: (PLAIN if setting.sampler is None else SKIPPING, 3.0),
        lambda *_: [70.0, 71.0],
        transfer_info={"other": IMAGENET16},
        **settings(),
    )
    assert keys(Plan(results.configuration, results.info, results.store)) == KEYS


def test_published_accuracies_keep_their_keys(tmp_path: Path) -> None:
    results = write_results(
        tmp_path,
        lambda setting, seed: (PLAIN if setting.sampler is None else SKIPPING, 3.0),
        lambda *_: [],
        searchers=["random:n_samples=3,n_nodes=4"],
        lookup=Lookup(path="published.csv", dataset="cifar100"),
    )
    known = StudyInfo({"data": DIGITS}, "f" * 32)
    assert keys(Plan(results.configuration, known, results.store)) == KEYS_OF_A_LOOKUP
