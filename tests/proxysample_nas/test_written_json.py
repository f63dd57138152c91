"""JSON that was written before is read, and what is written now is the same text."""

from __future__ import annotations

import json
import math

from proxysample_nas.searchers import EpochRecord, SearchInfo, SearchResult
from proxysample_nas.searchers.result import Candidate, EdgeDecision, FinalChoice
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.data import DatasetInfo, StudyInfo
from proxysample_nas.training.evaluation import Evaluation, TrainingRun

FIRST = Cell.from_string("|nor_conv_3x3~0|+|none~0|skip_connect~1|")
SECOND = Cell.from_string("|skip_connect~0|+|avg_pool_3x3~0|skip_connect~1|")

RESULT = (
    '{"cell": "|nor_conv_3x3~0|+|none~0|skip_connect~1|", "seconds": 2.75, "n_steps": '
    '22, "facts": {"searcher": "darts-v1", "parameters": {"epochs": 2, "augmentation": '
    '{"flip": true}}, "seed": 7, "n_weight_samples": 70, "n_architecture_samples": 30, '
    '"architecture_source": "held out", "n_classes": 10, "image_shape": [3, 32, 32], '
    '"steps_per_epoch": 18, "device": "cpu", "stopped_early": "stable"}, "history": '
    '[{"epoch": 1, "cell": "|skip_connect~0|+|avg_pool_3x3~0|skip_connect~1|", '
    '"architecture_weights": [[0.1, 0.3, 0.2, 0.2, 0.2], [0.1, 0.3, 0.2, 0.2, '
    '0.34285714285714286], [0.1, 0.3, 0.2, 0.2, 0.4857142857142857]], "learning_rate": '
    '0.05, "train_loss": 0.6666666666666666, "train_accuracy": 50.0, '
    '"architecture_loss": null, "architecture_accuracy": 33.333333333333336, "seconds": '
    '1.25, "details": {"tau": NaN}, "n_skip_connections": 2}], "selection": {"cell": '
    '"|nor_conv_3x3~0|+|none~0|skip_connect~1|", "candidates": [{"cell": '
    '"|nor_conv_3x3~0|+|none~0|skip_connect~1|", "accuracy": 10.5, "n_samples": 64}, '
    '{"cell": "|skip_connect~0|+|avg_pool_3x3~0|skip_connect~1|", "accuracy": 9, '
    '"n_samples": 64}], "seconds": 1.5, "decisions": [{"edge": 3, "operation": '
    '"nor_conv_1x1", "losses": [1.0, 1.0, 1.0, 1.0, 1.0], "accuracies": [0.1, 90.0, '
    '20.0, 80.0, 85.0], "seconds": 2.5}], "n_steps": 4}}'
)
EVALUATION = (
    '{"runs": [{"cell": "|nor_conv_3x3~0|+|none~0|skip_connect~1|", "seed": 777, '
    '"accuracy": 70.5, "split": "test", "train_losses": [1.5, 0.25], "train_accuracy": '
    '90.0, "n_parameters": 12, "n_train": 100, "n_test": 50, "seconds": 0.5, "device": '
    '"cpu"}]}'
)
STUDY = (
    '{"datasets": {"digits": {"fingerprint": "ab", "image_shape": [8, 8, 1], '
    '"n_classes": 10, "n_test": 360, "n_train": 100, "split": "test"}}, '
    '"lookup_fingerprint": null}'
)


def test_the_result_of_a_search() -> None:
    rows = tuple((0.1, 0.3, 0.2, 0.2, 0.2 + edge / 7) for edge in range(3))
    epoch = EpochRecord(1, SECOND, rows, 0.05, 2 / 3, 50.0, None, 100 / 3, 1.25, {"tau": math.nan})
    parameters = {"epochs": 2, "augmentation": {"flip": True}}
    info = SearchInfo(
        "darts-v1", parameters, 7, 70, 30, "held out", 10, (3, 32, 32), 18, "cpu", "stable"
    )
    decision = EdgeDecision(
        3, "nor_conv_1x1", (1.0,) * 5, (0.1, 90.0, 20.0, 80.0, 85.0), seconds=2.5
    )
    candidates = (Candidate(FIRST, 10.5, 64), Candidate(SECOND, 9, 64))
    selection = FinalChoice(FIRST, candidates, 1.5, (decision,), 4)
    result = SearchResult((epoch,), info, selection)
    assert json.dumps(result.to_dict()) == RESULT
    # NaN is unlike itself, so that the texts are compared.
    assert json.dumps(SearchResult.from_dict(json.loads(RESULT)).to_dict()) == RESULT


def test_an_evaluation() -> None:
    run = TrainingRun(
        FIRST, 777, 70.5, "test", (1.5, 0.25), 90.0, 12, 100, 50, seconds=0.5, device="cpu"
    )
    evaluation = Evaluation([run])
    assert json.dumps(evaluation.to_dict()) == EVALUATION
    assert Evaluation.from_dict(json.loads(EVALUATION)) == evaluation


def test_what_a_study_knows_of_its_data() -> None:
    info = StudyInfo({"digits": DatasetInfo("ab", 100, 360, 10, (8, 8, 1), "test")})
    assert info.to_json() == STUDY
    assert StudyInfo.from_json(STUDY) == info
