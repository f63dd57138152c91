"""Draw what each sampler keeps and drops of the digits, as docs/gallery.md shows it.

    .venv/bin/python examples/what_is_kept.py docs

Writes one contact sheet a sampler into docs/gallery, and the page; it takes a minute or two.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from proxysample import Ranking, create_sampler, list_samplers, load_dataset
from proxysample.errors import MissingDependencyError
from proxysample.registry import SAMPLERS, takes_parameter
from proxysample.samplers.recorded import DynamicsSampler

R = 0.1
COLUMNS = 10
ZOOM = 3
GAP = 4

PAGE = f"""# What each sampler keeps and drops

scikit-learn's digits, of which r = {R:g} is kept: on the left what each sampler keeps, on the right
what it drops. One line is one class, the {COLUMNS} that are kept first and the {COLUMNS} that would
be kept last of all; a line that ends early has no more that are kept. Pictures tell what a method
is after, and not what it is worth. `python examples/what_is_kept.py docs` draws this page, and
[the page of a report](report.md) shows the same of any data, at every r.
"""


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else "docs"
    if folder.startswith("-"):
        sys.exit(__doc__)
    pictures = Path(folder) / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    train = load_dataset("digits").train
    sections = [PAGE]
    record = None
    for name in list_samplers():
        own = {"random_state": 0} if takes_parameter(name, "random_state") else {}
        by_dynamics = issubclass(SAMPLERS.get(name), DynamicsSampler)
        # One training serves all of them but this, which needs samples that are not trained on.
        if by_dynamics and name != "cld":
            own["record"] = record
        try:
            sampler = create_sampler(name, **own)
            ranking = sampler.rank(train)
        except MissingDependencyError as error:
            print(f"{name} is left out: {error}")
            continue
        if by_dynamics and record is None:
            record = sampler.record_
        sheet, told = contact_sheet(ranking, train)
        sheet.save(pictures / f"{name}.png", optimize=True)
        print(f"{name}: {told}")
        what = (SAMPLERS.get(name).__doc__ or "").splitlines()[0].rstrip(".")
        picture = f"![What {name} keeps and drops of the digits](gallery/{name}.png)"
        sections.append(f"## {name}\n\n{what}. It keeps {told}.\n\n{picture}\n")
    (Path(folder) / "gallery.md").write_text("\n".join(sections), "utf-8")


def contact_sheet(ranking: Ranking, train: object) -> tuple[Image.Image, str]:
    kept = ranking.select(R, balance=None)
    is_kept = np.zeros(len(ranking), dtype=bool)
    is_kept[kept] = True
    order = ranking.order_of_rule(len(kept))
    codes = train.targets
    n_classes = len(np.unique(codes))
    size = 8 * ZOOM
    sheet = np.full((n_classes * (size + 1), (2 * COLUMNS + 1) * (size + 1) + GAP), 255, np.uint8)
    for line in range(n_classes):
        of_class = order[codes[order] == line]
        left, right = of_class[is_kept[of_class]][:COLUMNS], of_class[~is_kept[of_class]][-COLUMNS:]
        for first, rows in ((0, left), (COLUMNS + 1, right)):
            for column, row in enumerate(rows):
                image = train.images[row].reshape(8, 8).repeat(ZOOM, 0).repeat(ZOOM, 1)
                x, y = (first + column) * (size + 1), line * (size + 1)
                sheet[y : y + size, x : x + size] = image
    counts = np.bincount(codes[kept], minlength=n_classes)
    return Image.fromarray(sheet), f"{len(kept)}, {counts.min()} to {counts.max()} of each class"


if __name__ == "__main__":
    main()
