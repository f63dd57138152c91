from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from proxysample.data.reading import Samples
from proxysample.gallery.pictures import COLUMNS, PER_SHEET, Sprites, as_uint8, thumbnail


def tiles_of(sprites):
    """The thumbnails of each sample, cut out of the sheets again."""
    sheets = {sheet.number: sheet for sheet in sprites.sheets()}
    found = {}
    for sample, place in enumerate(sprites.places.tolist()):
        if place < 0:
            continue
        picture = Image.open(io.BytesIO(sheets[place // PER_SHEET].content))
        line, column = divmod(place % PER_SHEET, COLUMNS)
        width, height = sprites.shapes[sample].tolist()
        left, top = column * sprites.side, line * sprites.side
        found[sample] = np.asarray(picture.crop((left, top, left + width, top + height)))
    return found, sheets


def test_small_thumbnails_are_the_images_in_the_order_that_was_asked_for():
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    order = np.random.default_rng(1).permutation(300)
    sprites = Sprites(Samples(images), order)
    tiles, sheets = tiles_of(sprites)
    assert (sprites.side, len(sheets), sheets[0].suffix) == (8, 2, "png")
    assert all(np.array_equal(tiles[sample], images[sample]) for sample in range(300))
    assert np.array_equal(np.argsort(sprites.places), order)


def test_photos_are_shrunk_as_they_are_shaped():
    photo = np.zeros((90, 300, 3), dtype=np.uint8)
    photo[:, 150:] = (200, 100, 0)
    tall = photo.transpose(1, 0, 2)
    sprites = Sprites(Samples([photo, tall, photo]), np.arange(3))
    tiles, sheets = tiles_of(sprites)
    assert (sprites.side, sheets[0].suffix) == (64, "jpg")
    assert sprites.shapes.tolist() == [[64, 19], [19, 64], [64, 19]]
    assert np.abs(tiles[0][:, 40:].astype(int) - (200, 100, 0)).max() < 12
    assert tiles[1][:20].max() < 12


def test_what_nobody_can_read_has_no_thumbnail():
    class Files:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 2:
                raise OSError("it is broken")
            return np.full((8, 8, 1), 60 * index, dtype=np.uint8), 0

    sprites = Sprites(Samples(Files()), np.array([3, 2, 1, 0]))
    tiles, _ = tiles_of(sprites)
    assert sprites.places.tolist() == [3, 2, -1, 0]
    assert [tiles[sample].max() for sample in (0, 1, 3)] == [0, 60, 180]


def test_vectors_have_no_thumbnails():
    sprites = Sprites(Samples(np.zeros((5, 3))), np.arange(5))
    assert (sprites.side, list(sprites.sheets())) == (0, [])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[[False], [True]]]), [[0, 255]]),
        (np.array([[[-1.0], [np.nan], [3.0]]]), [[0, 0, 255]]),
        (np.array([[[0], [65535]]], dtype=np.uint16), [[0, 255]]),
        (np.array([[[7.5]]]), [[0]]),
        (np.array([[[1, 2, 3, 4]]], dtype=np.uint8), [[[1, 2, 3]]]),
        (np.array([[[1, 2]]], dtype=np.uint8), [[1]]),
        (np.array([[9]], dtype=np.uint8), [[9]]),
        (np.array([[[np.inf]]]), [[0]]),
    ],
)
def test_an_image_of_any_type_is_seen(image, expected):
    pixels = as_uint8(image)
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == expected


def test_a_thumbnail_is_no_longer_than_it_may_be():
    assert thumbnail(np.zeros((1, 1000, 1), dtype=np.uint8)).size == (64, 1)
    assert thumbnail(np.zeros((10, 20, 3), dtype=np.uint8)).size == (20, 10)
