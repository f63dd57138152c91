"""Neural architecture search on proxy datasets, NAS-Bench-201 style.

Names are imported when they are used, so ``import proxysample_nas`` loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxysample.lazy import lazy_exports
from proxysample_nas.searchers.registry import create_searcher, list_searchers

if TYPE_CHECKING:
    from proxysample_nas import data, drawing, searchers, space, study, training
    from proxysample_nas.agreement.rank import plan_ranking, rank_cells
    from proxysample_nas.data.images import LabelledImages, load_images
    from proxysample_nas.data.loader import Augmentation
    from proxysample_nas.data.normalization import Normalization
    from proxysample_nas.drawing import save_drawing
    from proxysample_nas.searchers.base import Searcher
    from proxysample_nas.searchers.darts import DARTS
    from proxysample_nas.searchers.enas import ENAS
    from proxysample_nas.searchers.gdas import GDAS
    from proxysample_nas.searchers.random_search import RandomSearch
    from proxysample_nas.searchers.remedies import SearchCollapseWarning
    from proxysample_nas.searchers.result import SearchResult
    from proxysample_nas.space.cell import Cell
    from proxysample_nas.space.network import CellNetwork
    from proxysample_nas.space.operations import NAS_BENCH_201, Operation, SearchSpace
    from proxysample_nas.study.configuration import StudyConfiguration
    from proxysample_nas.study.given import Lookup, Transfer
    from proxysample_nas.study.presets import preset
    from proxysample_nas.study.study import Study
    from proxysample_nas.training.evaluation import Evaluation
    from proxysample_nas.training.trained import TrainedCell
    from proxysample_nas.training.trainer import CellTrainer

    __version__: str

__all__ = [
    "DARTS",
    "ENAS",
    "GDAS",
    "NAS_BENCH_201",
    "Augmentation",
    "Cell",
    "CellNetwork",
    "CellTrainer",
    "Evaluation",
    "LabelledImages",
    "Lookup",
    "Normalization",
    "Operation",
    "RandomSearch",
    "SearchCollapseWarning",
    "SearchResult",
    "SearchSpace",
    "Searcher",
    "Study",
    "StudyConfiguration",
    "TrainedCell",
    "Transfer",
    "__version__",
    "create_searcher",
    "data",
    "drawing",
    "list_searchers",
    "load_images",
    "plan_ranking",
    "preset",
    "rank_cells",
    "save_drawing",
    "searchers",
    "space",
    "study",
    "training",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "proxysample_nas.agreement.rank": ["plan_ranking", "rank_cells"],
            "proxysample_nas.data.loader": ["Augmentation"],
            "proxysample_nas.data.images": ["LabelledImages", "load_images"],
            "proxysample_nas.data.normalization": ["Normalization"],
            "proxysample_nas.drawing": ["save_drawing"],
            "proxysample_nas.searchers.base": ["Searcher"],
            "proxysample_nas.searchers.remedies": ["SearchCollapseWarning"],
            "proxysample_nas.searchers.darts": ["DARTS"],
            "proxysample_nas.searchers.enas": ["ENAS"],
            "proxysample_nas.searchers.gdas": ["GDAS"],
            "proxysample_nas.searchers.random_search": ["RandomSearch"],
            "proxysample_nas.searchers.result": ["SearchResult"],
            "proxysample_nas.space.cell": ["Cell"],
            "proxysample_nas.space.network": ["CellNetwork"],
            "proxysample_nas.space.operations": ["NAS_BENCH_201", "Operation", "SearchSpace"],
            "proxysample_nas.study.configuration": ["StudyConfiguration"],
            "proxysample_nas.study.given": ["Lookup", "Transfer"],
            "proxysample_nas.study.presets": ["preset"],
            "proxysample_nas.study.study": ["Study"],
            "proxysample_nas.training.evaluation": ["Evaluation"],
            "proxysample_nas.training.trained": ["TrainedCell"],
            "proxysample_nas.training.trainer": ["CellTrainer"],
        },
        ["data", "drawing", "searchers", "space", "study", "training"],
    )
