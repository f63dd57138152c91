"""Try an installed wheel without any extra; run by `make wheel` in an empty environment.

python tests/packaging/try_wheel.py
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

EXTRAS = ("torchvision", "timm", "faiss", "ray", "matplotlib", "datasets", "mkdocs", "pytest")


def main() -> None:
    present = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not present, f"not an empty environment: it has {', '.join(present)}"

    import proxysample

    assert "site-packages" in proxysample.__file__, proxysample.__file__
    train = proxysample.load_dataset("digits").train
    for name in ("rs", "cc-rs", "km-or", "cc-or", "ae"):
        kept = proxysample.create_sampler(name).select(train, r=0.25)
        assert len(kept) == round(0.25 * len(train)), name
    page = Path(tempfile.mkdtemp()) / "report.html"
    proxysample.create_sampler("cc-or").report(train, r=0.25).save(page)
    assert "cc-or keeps" in page.read_text()
    _needs("transfer", lambda: proxysample.create_sampler("tl").select(train, r=0.25))
    _try_a_study()
    print(f"the wheel of proxysample works without {', '.join(EXTRAS)}")  # noqa: T201


def _try_a_study() -> None:
    from proxysample_nas.study import Study
    from proxysample_nas.study.reports.report import to_html

    study = Study(
        dataset="digits",
        n_train=100,
        samplers=["cc-or"],
        ratios=[0.5],
        searchers=["gdas:n_nodes=3,channels=4,cells_per_stage=1,epochs=1"],
        channels=[4],
        seeds=[777],
        training={"epochs": 1, "cells_per_stage": 1},
        folder=Path(tempfile.mkdtemp()),
    )
    assert study.run(progress=False) == 0
    assert "CC-OR" in study.table()
    assert "CC-OR" in to_html(study.results(), {}, {})
    _needs("plots", study.report)
    _needs("ray", lambda: study.run(progress=False, executor="ray", retry_failed=True))


def _needs(extra: str, call: Callable[[], object]) -> None:
    from proxysample import MissingDependencyError

    message = ""
    try:
        call()
    except MissingDependencyError as error:
        message = str(error)
    assert f"proxysample[{extra}]" in message, f"the extra {extra} is not named: {message!r}"


if __name__ == "__main__":
    main()
