"""Images that a user is handed: decoded, or refused by our own error, whatever is in them."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, TiffImagePlugin, TiffTags
from torch.utils.data import Subset

from proxysample import InputError, create_sampler, load_dataset
from proxysample.cli import main
from proxysample.data.folders import SUFFIXES
from proxysample.data.images import read_image
from proxysample.data.whole import BrokenImageWarning, read_whole

from ...mutations import mutations

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
# Suffix, name to Pillow, and how it is to be written.
FORMATS = {
    "png": (".png", "PNG", {}),
    "jpeg": (".jpg", "JPEG", {}),
    "progressive jpeg": (".jpeg", "JPEG", {"progressive": True}),
    "bmp": (".bmp", "BMP", {}),
    "webp": (".webp", "WEBP", {"lossless": True}),
    "ppm": (".ppm", "PPM", {}),
    "pgm": (".pgm", "PPM", {}),
    "tiff": (".tif", "TIFF", {}),
    "deflated tiff": (".tiff", "TIFF", {"compression": "tiff_adobe_deflate"}),
}


def written(name: str) -> bytes:
    _, kind, options = FORMATS[name]
    stream = io.BytesIO()
    pixels = PIXELS[..., 0] if name == "pgm" else PIXELS
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def put(path: Path, content: bytes) -> None:
    # A file that is written over is flushed to the disk, thousands of times; a new one is not.
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def test_every_suffix_is_tried():
    assert {suffix for suffix, *_ in FORMATS.values()} == set(SUFFIXES)


@pytest.mark.parametrize("name", FORMATS)
def test_a_mutated_image_is_decoded_or_refused(tmp_path, name):
    (tmp_path / "emu").mkdir()
    path = tmp_path / "emu" / f"0{FORMATS[name][0]}"
    content = written(name)
    put(path, content)
    train = load_dataset(f"folder:{tmp_path}").train
    assert train.images.shape[1:3] == (6, 5)
    refused = 0
    # Two thousand of each format, in both its kinds together where it has two.
    kinds = [kind for _, kind, _ in FORMATS.values()]
    count = 2_000 // kinds.count(FORMATS[name][1])
    for number, mutated in enumerate(mutations(content, count, head=len(content))):
        put(path, mutated)
        try:
            # By what opens the file alone; now and then by all that a user's call does.
            pixels, _ = train.raw_item(0)
            if number % 20 == 0:
                (read,) = load_dataset(f"folder:{tmp_path}").train.images
                assert np.array_equal(read, pixels)
        except InputError:
            refused += 1
    assert count / 4 < refused < count


def test_mutated_images_are_left_out_on_request(tmp_path):
    (tmp_path / "emu").mkdir()
    whole = written("png")
    put(tmp_path / "emu" / "0.png", whole)
    for number, mutated in enumerate(mutations(whole, 200, head=len(whole))):
        put(tmp_path / "emu" / f"1{number:03}.png", mutated)
    files = load_dataset(f"folder:{tmp_path}").train.files
    with pytest.warns(BrokenImageWarning, match="of 201 samples") as told:
        train, indices = read_whole(load_dataset(f"folder,broken=skip:{tmp_path}").train)
    assert len(told) == 1
    assert len(train) == len(indices) < 201
    for place, index in enumerate(indices):
        with Image.open(files[index]) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), train.images[place])


class Photos:
    """A dataset as torchvision has them, which knows nothing of this project."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int):
        with Image.open(self.files[index]) as image:
            return image.convert("RGB"), index % 2


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Twenty images, of which the eighth is cut in the middle."""
    files = [tmp_path / "photos" / "emu" / f"{number:02}.png" for number in range(20)]
    files[0].parent.mkdir(parents=True)
    for file in files:
        put(file, written("png"))
    put(files[7], written("png")[:90])
    return files


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_sample_of_any_dataset_that_cannot_be_read_is_named(photos, num_workers):
    sampler = create_sampler("km-or", n_clusters=2, num_workers=num_workers)
    told = r"^sample 7 \(.*07\.png\) cannot be read: .*truncated.*broken='skip'$"
    with pytest.raises(InputError, match=told):
        sampler.select(Photos(photos), 0.5)
    whole = Subset(Photos(photos), [index for index in range(20) if index != 7])
    assert len(sampler.select(whole, 0.5)) == round(0.5 * 19)


def test_a_sample_that_cannot_be_read_at_the_start_is_named(photos):
    with pytest.raises(InputError, match="sample 0 cannot be read: FileNotFoundError"):
        create_sampler("km-or", n_clusters=2).select(Photos([Path("none.png"), *photos]), 0.5)


def test_the_command_line_stops_at_a_broken_image(photos, command_line, tmp_path):
    indices = tmp_path / "indices.npy"
    words = ["--dataset", f"folder:{photos[0].parents[1]}", "--sampler", "ae", "-r", "0.5"]
    code, _, err = command_line(main, "select", *words, "-o", str(indices))
    assert code == 2
    assert f"image 7 of 20: {photos[7]} does not decode" in err
    assert "--broken skip" in err
    assert not indices.exists()


def test_the_command_line_leaves_a_broken_image_out_on_request(photos, forked, tmp_path):
    """A process of its own: what becomes of a warning is up to the program that it ends in."""
    indices = tmp_path / "indices.npy"
    words = ["select", "--dataset", f"folder,broken=skip:{photos[0].parents[1]}"]
    words += ["--sampler", "cc-or", "-r", "0.5", "-o", str(indices)]
    code = "from proxysample.cli import main; main()"
    done = forked(code, *words)
    assert done.wait() == 0, done.stderr
    assert f"sample 7 ({photos[7]}): " in done.stderr
    assert "of the 19 training samples" in done.stdout
    assert "1 more cannot be read" in done.stdout
    assert 7 not in np.load(indices)


def claiming(width: int, height: int, n_bytes: int) -> bytes:
    """A PNG that is far smaller than it claims to be."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, content in ((b"IHDR", head), (b"IDAT", bytes(n_bytes)), (b"IEND", b"")):
        checked = kind + content
        parts.append(struct.pack(">I", len(content)) + checked)
        parts.append(struct.pack(">I", zlib.crc32(checked)))
    return b"".join(parts)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (8_000, 8_000, "claims 64,000,000 pixels, more than 1,069 bytes can hold"),
        (12_000, 12_000, "far larger than an image for training"),
        (1 << 30, 1 << 30, "far larger than an image for training"),
    ],
)
def test_a_size_is_not_believed(tmp_path, width, height, message):
    (tmp_path / "emu").mkdir()
    put(tmp_path / "emu" / "0.png", claiming(width, height, 1_012))
    with warnings.catch_warnings():
        # As a program runs: Pillow's own warning is none that ends it.
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match=message):
            load_dataset(f"folder:{tmp_path}").train[0]


# Peak memory after the reading less that before, and what came of it.
MEASURED = """
import resource, sys, warnings
import PIL.Image
from proxysample import InputError, load_dataset
from proxysample.data.whole import read_whole
PIL.Image.init()
warnings.simplefilter("ignore")
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
if len(sys.argv) > 2:
    with open("/proc/self/statm") as sizes:
        taken = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[2]),) * 2)
try:
    images = read_whole(load_dataset("folder,broken=skip:" + sys.argv[1]).train)[0].images
    print((peak() - before) // 1024, len(images))
except InputError as error:
    print(error)
"""


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """One image of 2,000 times 2,000 pixels, and 63 files that claim to be as large."""
    (tmp_path / "emu").mkdir()
    Image.new("RGB", (2_000, 2_000)).save(tmp_path / "emu" / "00.png")
    for number in range(1, 64):
        put(tmp_path / "emu" / f"{number:02}.png", claiming(2_000, 2_000, 1_012))
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="measures and limits memory as Linux does")
@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ([], r"\d{1,2} 1"),
        ([str(1 << 29)], r"\d{1,3} 1"),
    ],
)
def test_images_that_only_claim_to_be_there_take_no_memory(claims, limit, expected):
    words = [sys.executable, "-c", MEASURED, str(claims), *limit]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert re.fullmatch(expected, done.stdout.strip()), done.stdout


def test_an_image_is_turned_as_notes_beside_its_pixels_say(tmp_path):
    """Pillow turns such a TIFF itself as it is decoded, after it told of its size."""
    (tmp_path / "emu").mkdir()
    notes = TiffImagePlugin.ImageFileDirectory_v2()
    notes.tagtype[700] = TiffTags.BYTE
    notes[700] = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(PIXELS).save(tmp_path / "emu" / "0.tif", tiffinfo=notes)
    images = load_dataset(f"folder:{tmp_path}").train.images
    assert np.array_equal(images[0], np.rot90(PIXELS, -1))


def test_postscript_is_not_run_whatever_its_name(tmp_path):
    (tmp_path / "emu").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "emu" / "0.png", "EPS")
    with pytest.raises(InputError, match=r"0\.png does not decode as an image: it is PostScript"):
        load_dataset(f"folder:{tmp_path}").train[0]


def test_a_plain_large_image_is_no_bomb(tmp_path):
    (tmp_path / "emu").mkdir()
    Image.new("1", (3_000, 3_000)).save(tmp_path / "emu" / "0.png")
    assert load_dataset(f"folder:{tmp_path}").train.images.shape == (1, 3_000, 3_000, 1)


@pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 does not open such a file"
)
def test_damaged_notes_beside_the_pixels_do_no_harm(tmp_path):
    """Many a photograph has some; a warning of it would end what makes warnings errors."""
    (tmp_path / "emu").mkdir()
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "TIFF", description="x" * 100)
    content = stream.getvalue()
    tag = struct.pack("<HHI", 270, 2, 101)
    assert content.count(tag) == 1
    put(tmp_path / "emu" / "0.tif", content.replace(tag, struct.pack("<HHI", 270, 2, 1 << 20)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load_dataset(f"folder:{tmp_path}").train.images
    assert np.array_equal(images[0], PIXELS)


def test_a_tile_that_is_larger_than_any_image_is_refused(tmp_path):
    # A TIFF of 8x8 pixels in one tile of 2**15 x 2**15.
    tags = {
        256: 8,
        257: 8,
        258: 8,
        259: 1,
        262: 1,
        277: 1,
        322: 1 << 15,
        323: 1 << 15,
        324: 0,
        325: 8,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(64)
    with pytest.raises(InputError, match="tiles of 32768x32768"):
        read_image(content)
