"""How far searches are that run now, from the files that they keep."""

from __future__ import annotations

import pytest
from safetensors.torch import save_file

from proxysample import InputError
from proxysample.experiments.claims import Claims, LiveRunner
from proxysample.experiments.experiment import Checkpoints
from proxysample_nas.cli import main
from proxysample_nas.searchers.checkpoint import Checkpoint, read_progress
from proxysample_nas.study import Study
from proxysample_nas.study.experiments.search import Search


def test_running_searches_tell_of_their_epochs(tiny_settings, tmp_path, command_line):
    searchers = ["darts-v1:n_nodes=3,channels=4,cells_per_stage=1,epochs=2"]
    study = Study(**tiny_settings(searchers=searchers), folder=tmp_path)
    assert study.run(progress=False) == 0
    # As a runner has it that is at a search again, of which one epoch is kept.
    searches = study.store.results(Search.kind)
    key, found = next(iter(searches.items()))
    result = found.result
    parameters = {"searcher": "darts-v1"} | result["facts"]["parameters"]
    first = {"seed": 0, "parameters": parameters, "data_digest": "", "selection": None}
    kept = Checkpoint.from_dict(first | {"history": result["history"][:1]}, tensors={})
    checkpoints = Checkpoints(tmp_path, "b0")
    kept.save(checkpoints.path(key))
    with study.store.database.transaction() as connection:
        connection.execute("DELETE FROM experiments WHERE key = ?", (key,))
    with LiveRunner(Claims(study.store.database), "b0", 1) as live:
        assert live.claim(key)
        (running,) = study.running_searches()
        assert (len(running.history), running.n_epochs) == (1, 2)
        code, out, err = command_line(main, "study", "watch", "--once", "-o", str(tmp_path))
        assert code == 0, err
        assert "1 of 2 epochs" in out
    assert study.running_searches() == []


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "search.safetensors"
    with pytest.raises(InputError, match="no such file"):
        read_progress(path)
    path.write_bytes(b"0" * 64)
    with pytest.raises(InputError, match="not a checkpoint"):
        read_progress(path)
    save_file({}, path, metadata={"format": "other"})
    with pytest.raises(InputError, match="not a checkpoint of a search"):
        read_progress(path)
