"""Read Tables 1 to 5 out of the paper's plain text, as `pdftotext` writes it.

Run by hand to write the package's data::

    python tests/proxysample_nas/extract_papers_numbers.py less-is-more.txt papers_numbers.json
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ACCURACY = r"\d+\.\d+ ?± ?\d+\.\d+"
CAPTION = re.compile(r"^ ?Table ([1-5])\. ", re.MULTILINE)
CELL_LINE = re.compile(
    rf"^(?P<method>[A-Z][\w -]*?)(?P<star>\*?) (?P<r>1\.0|\.\d+) "
    rf"(?P<c16>{ACCURACY}) (?P<c32>{ACCURACY}) (?P<c64>{ACCURACY})$",
    re.MULTILINE,
)
TRANSFER_LINE = re.compile(
    rf"^(?P<label>[^\d\n]*?(?:\[7\] )?|201 \[7\] )(?P<r>1\.0|\.\d+) (?P<model>[\w-]+) "
    rf"(?P<cifar100>{ACCURACY}|\d+\.\d) (?P<imagenet>{ACCURACY}|\d+\.\d)$",
    re.MULTILINE,
)
TRANSFER_GROUPS = {"NAS-": "nas-bench-201", "Baseline": "baseline", "AE": "ae", "TL": "tl"}
SEARCHERS = {"1": "darts-v1", "2": "darts-v2", "3": "enas", "4": "gdas"}


def extract(text: str) -> dict[str, Any]:
    """Read every number of the five tables."""
    # Of two mentions, the caption of a table comes before its lines.
    starts = {found[1]: found.end() for found in CAPTION.finditer(text)}
    return {
        "paper": "Less is More: Proxy Datasets in NAS approaches",
        "cell_tables": [
            {
                "table": int(number),
                "searcher": searcher,
                "rows": _cell_rows(text[starts[number] :]),
            }
            for number, searcher in SEARCHERS.items()
        ],
        "transfer_table": {"table": 5, "rows": _transfer_rows(text[starts["5"] :])},
    }


def _cell_rows(text: str) -> list[dict[str, Any]]:
    rows = []
    for line in CELL_LINE.finditer(text):
        row = {
            "method": line["method"],
            "r": float(line["r"]),
            "is_marked": bool(line["star"]),
            "accuracies": {c: _spaced(line[f"c{c}"]) for c in ("16", "32", "64")},
        }
        rows.append(row)
        if len(rows) == 19:  # the baseline, and six samplers at three ratios
            break
    return rows


def _transfer_rows(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    group = ""
    for line in TRANSFER_LINE.finditer(text):
        group = TRANSFER_GROUPS.get(line["label"].strip(), group)
        rows.append(
            {
                "group": group,
                "r": float(line["r"]),
                "model": line["model"].replace("Darts", "DARTS"),
                "accuracies": {
                    "cifar100": _spaced(line["cifar100"]),
                    "imagenet16-120": _spaced(line["imagenet"]),
                },
            }
        )
    return rows


def _spaced(accuracy: str) -> str:
    return re.sub(r" ?± ?", " ± ", accuracy)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(json.dumps(extract(source.read_text()), indent=1, ensure_ascii=False) + "\n")
