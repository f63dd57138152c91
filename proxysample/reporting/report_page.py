"""A report as one HTML page: no script, no other file."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.reporting.report import Example, Report

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; }
td, th { padding: .15rem .8rem .15rem 0; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.sheet { display: flex; flex-wrap: wrap; gap: 6px 4px; }
.sheet figure { width: 70px; margin: 0; }
.sheet img { display: block; width: 70px; height: 70px; object-fit: contain;
  image-rendering: pixelated; background: #eee; }
.sheet figcaption { font-size: 11px; line-height: 1.3; color: #52606d; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; }
.bar { background: #d5dbe1; width: 12rem; height: .7rem; margin-top: .45rem; }
.bar span { display: block; height: 100%; background: #2a6fb0; }
.kept { fill: #2a6fb0; } .dropped { fill: #d9823b; }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; }
.classes { columns: 2; }
svg text { font-size: 12px; fill: #52606d; }
"""


def to_html(report: Report) -> str:
    """Write a report as a page.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
        HTML with images and histogram inside.
    """
    title = html.escape(report.title)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        _facts(report),
        "<h2>Scores</h2>",
        _histogram(report),
        *(_sheet(name, images) for name, images in report.examples.items()),
        _classes(report),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _facts(report: Report) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(fact)}</td></tr>"
        for name, fact in report.facts.items()
    )
    return f"<table>{rows}</table>"


def _histogram(report: Report, width: int = 720, height: int = 200) -> str:
    kept, dropped = report.kept_histogram, report.dropped_histogram
    highest = max(1, int((kept + dropped).max()))
    bar = width / len(kept)
    shapes = []
    for place, (n_kept, n_dropped) in enumerate(zip(kept, dropped, strict=True)):
        kept_height = height * int(n_kept) / highest
        dropped_height = height * int(n_dropped) / highest
        for kind, top, tall in (
            ("kept", height - kept_height, kept_height),
            ("dropped", height - kept_height - dropped_height, dropped_height),
        ):
            shapes.append(
                f'<rect class="{kind}" x="{place * bar:.1f}" y="{top:.1f}" '
                f'width="{bar - 1:.1f}" height="{tall:.1f}"/>'
            )
    low, high = report.bin_edges[0], report.bin_edges[-1]
    labels = (
        f'<text x="0" y="{height + 16}">{low:.4g}</text>'
        f'<text x="{width}" y="{height + 16}" text-anchor="end">{high:.4g}</text>'
        f'<text x="{width / 2}" y="{height + 16}" text-anchor="middle">score</text>'
    )
    return (
        f'<svg viewBox="0 0 {width} {height + 22}" width="100%" role="img" '
        f'aria-label="Histogram of scores">{"".join(shapes)}{labels}</svg>'
        '<p><span class="key" style="background:#2a6fb0"></span>kept'
        '<span class="key" style="background:#d9823b"></span>dropped</p>'
    )


def _sheet(name: str, examples: list[Example]) -> str:
    pictures = "".join(map(_picture, examples))
    return f"<h2>{html.escape(name.capitalize())}</h2><div class='sheet'>{pictures}</div>"


def _picture(example: Example) -> str:
    """Show an image over its index and class; the file's name comes up on hovering."""
    caption = html.escape(
        f"{example.index}: {example.name}" if example.name else f"{example.index}"
    )
    title = html.escape(example.file) or caption
    return (
        f'<figure title="{title}"><img alt="{caption}" '
        f'src="data:image/png;base64,{_png(example.image)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _png(image: npt.NDArray[Any]) -> str:
    from PIL import Image

    pixels = image
    if pixels.dtype != np.uint8:
        # Floats may have been normalised: show them over their own range.
        low, high = float(pixels.min()), float(pixels.max())
        pixels = (255 * (pixels - low) / ((high - low) or 1)).round().astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        pixels = pixels[..., 0]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def _classes(report: Report) -> str:
    if not report.classes:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(count.name)}</td>"
        f'<td class="number">{count.n_kept:,}</td><td class="number">{count.n_samples:,}</td>'
        f'<td><div class="bar"><span style="width:{100 * count.n_kept / count.n_samples:.1f}%">'
        "</span></div></td></tr>"
        for count in report.classes
    )
    header = '<tr><th>class</th><th class="number">kept</th><th class="number">of</th></tr>'
    return f'<h2>Classes</h2><div class="classes"><table>{header}{rows}</table></div>'
