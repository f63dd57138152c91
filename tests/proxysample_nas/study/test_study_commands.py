from __future__ import annotations

import signal
import time

from proxysample.experiments.claims import Claims
from proxysample_nas.cli import main
from proxysample_nas.study import Study

WORDS = (
    "study run --dataset digits --n-train 120 --sampler rs -r 0.5 --channels 4 --seed 777 "
    "--train epochs=1 --train cells_per_stage=1 --searcher "
    "darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs={epochs} --output"
)


def words(folder, *others: str, epochs: int = 1) -> list[str]:
    return [*WORDS.format(epochs=epochs).split(), str(folder), *others]


def test_a_dry_run_estimates_and_writes_nothing(command_line, tmp_path):
    folder = tmp_path / "study"
    options = ["--dry-run", "--workers", "2", "--calibration-seconds", "0"]
    code, out, _ = command_line(main, *words(folder, *options))
    assert code == 0
    assert "train a cell at C=4" in out
    assert "In total at most 5 experiments" in out
    assert not folder.exists()


def test_a_status_is_printed(command_line, tmp_path):
    code, _, err = command_line(main, "study", "status", "--output", str(tmp_path))
    assert code == 2
    assert "run one first" in err
    assert command_line(main, *words(tmp_path, "--executor", "in-process"))[0] == 0
    code, out, _ = command_line(main, "study", "status", "--output", str(tmp_path))
    assert code == 0
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["done", "running", "failed", "left"],
        ["selections", "1", "0", "0", "0"],
        ["searches", "2", "0", "0", "0"],
    ]


def test_an_unknown_executor_is_refused(command_line, tmp_path):
    code, _, err = command_line(main, *words(tmp_path, "--executor", "rey"))
    assert code == 2
    assert "did you mean 'ray'" in err


def test_ctrl_c_says_how_to_go_on(forked, tmp_path):
    code = "from proxysample_nas.cli import main; main()"
    process = forked(code, *words(tmp_path, "--workers", "1", epochs=5000))
    while not list(tmp_path.glob("unfinished/*")):
        assert process.poll() is None, "the study ended before it could be met"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    err = process.stderr
    assert "ended by SIGINT: what had finished is kept, and the same command goes on" in err
    assert "Traceback" not in err
    assert Claims(Study.open(tmp_path).store.database).held() == []
