"""Images of any mode, depth and size, read alike by folders, PIL items and HuggingFace."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from proxysample import InputError, create_sampler, load_dataset
from proxysample.data.image_files import ImageFiles
from proxysample.data.images import TURNS, Fitting, fitted, pixels_of, read_image
from proxysample.data.reading import Samples

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
RGB = Image.fromarray(COLOURS)
DEEP = (np.arange(30).reshape(6, 5) * 2_000).astype(np.uint16)


def written(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def of_mode(mode: str) -> Image.Image:
    if mode == "P with a transparency for each colour":
        palette = RGB.quantize(8)
        palette.info["transparency"] = bytes(range(0, 256, 32))
        return palette
    if mode == "LAB":
        return Image.new("LAB", (5, 6), (128, 0, 0))
    if mode == "La":
        return RGB.convert("LA").convert("La")
    if mode == "PA":
        return RGB.quantize(8).convert("PA")
    if mode == "HSV":
        return RGB.convert("HSV")
    return RGB.convert(mode)


@pytest.mark.parametrize(
    ("mode", "n_channels"),
    [
        *((mode, 1) for mode in ("1", "L", "LA", "La")),
        *((mode, 3) for mode in ("RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr")),
        *((mode, 3) for mode in ("HSV", "LAB", "P with a transparency for each colour")),
    ],
)
def test_every_mode_becomes_grey_or_rgb(mode, n_channels):
    pixels = pixels_of(of_mode(mode))
    assert pixels.shape == (6, 5, n_channels)
    assert pixels.dtype == np.uint8
    if mode in ("RGB", "RGBA", "RGBX"):
        assert np.array_equal(pixels, COLOURS)
    if mode == "1":
        assert set(np.unique(pixels)) == {0, 255}
    if mode in ("LA", "La"):
        assert np.array_equal(pixels[..., 0], np.asarray(RGB.convert("L")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_kept(kind):
    pixels = read_image(written(Image.fromarray(DEEP), kind))
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels[..., 0], DEEP)


def test_big_endian_and_wide_integers_are_kept():
    swapped = Image.frombytes("I;16B", (5, 6), DEEP.astype(">u2").tobytes())
    assert np.array_equal(pixels_of(swapped)[..., 0], DEEP)
    wide = Image.fromarray(DEEP.astype(np.int32) * -9)
    assert np.array_equal(pixels_of(wide)[..., 0], DEEP.astype(np.int32) * -9)


def test_floating_point_files_are_kept():
    values = np.linspace(-0.5, 2, 30, dtype=np.float32).reshape(6, 5)
    pixels = read_image(written(Image.fromarray(values), "TIFF"))
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels[..., 0], values)


def frames() -> list[Image.Image]:
    return [Image.new("RGB", (5, 6), (80 * number, 9, 9)) for number in range(3)]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_several_frames_are_refused_by_name(kind, tmp_path):
    first, *others = frames()
    file = tmp_path / "emu" / "moving.png"
    file.parent.mkdir()
    file.write_bytes(written(first, kind, save_all=True, append_images=others))
    dataset = load_dataset(f"folder:{tmp_path}").train
    with pytest.raises(InputError, match=r"moving\.png does not decode .*holds 3 frames"):
        dataset[0]
    with Image.open(file) as image, pytest.raises(InputError, match=r"sample 0 \(.*moving\.png"):
        Samples([image]).images  # noqa: B018
    assert read_image(written(first, kind)).shape == (6, 5, 3)


def test_a_phones_photograph_with_a_picture_for_its_own_use_is_one():
    first, *others = frames()
    photo = written(first, "MPO", save_all=True, append_images=others[:1])
    assert np.abs(read_image(photo).astype(int) - np.asarray(first)).max() < 9


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_images_are_upright(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = written(RGB, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(pixels_of(image), expected)
    assert np.array_equal(read_image(content), expected)
    assert np.array_equal(expected, COLOURS) == (orientation not in TURNS)


def test_every_reader_gives_the_same_pixels(tmp_path):
    datasets = pytest.importorskip("datasets", reason="compares with HuggingFace's reader")
    exif = Image.Exif()
    exif[0x0112] = 6
    modes = ("P with a transparency for each colour", "RGBA", "LA", "L", "1", "RGB")
    (tmp_path / "emu").mkdir()
    files = [tmp_path / "emu" / f"{number}.png" for number in range(len(modes) + 1)]
    for file, mode in zip(files, modes, strict=False):
        of_mode(mode).save(file)
    RGB.rotate(90, expand=True).save(files[-1], exif=exif)
    folder = Samples(load_dataset(f"folder:{tmp_path}").train).images
    assert folder.shape == (len(files), 6, 5, 3)
    assert np.array_equal(Samples([Image.open(file) for file in files]).images, folder)
    column = datasets.Dataset.from_dict({"image": [str(file) for file in files]})
    column = column.cast_column("image", datasets.Image())
    assert np.array_equal(Samples(column).images, folder)


@pytest.mark.parametrize("deep", [0, 1, 39])
def test_eight_and_sixteen_bits_go_together_on_one_scale(tmp_path, deep):
    (tmp_path / "emu").mkdir()
    grey = RGB.convert("L")
    for number in range(40):
        image = Image.fromarray(DEEP) if number == deep else grey
        image.save(tmp_path / "emu" / f"{number:02}.png")
    dataset = load_dataset(f"folder:{tmp_path}").train
    for images in (Samples(dataset).images, dataset.images):
        assert images.dtype == np.uint16
        assert np.array_equal(images[deep][..., 0], DEEP)
        for number in {0, 1, 39} - {deep}:
            assert np.array_equal(images[number][..., 0], np.asarray(grey) * np.uint16(257))
        # Each comes to what it comes to alone.
        assert np.allclose(images[20] / 65_535, np.asarray(grey)[..., np.newaxis] / 255)


def test_floating_point_images_do_not_mix_with_integers(tmp_path):
    (tmp_path / "emu").mkdir()
    Image.fromarray(np.full((4, 5), 0.5, np.float32)).save(tmp_path / "emu" / "0.tif")
    Image.new("L", (5, 4)).save(tmp_path / "emu" / "1.png")
    dataset = load_dataset(f"folder:{tmp_path}").train
    with pytest.raises(InputError, match="sample 1 has type uint8, and those before it float32"):
        Samples(dataset).images  # noqa: B018
    with pytest.raises(InputError, match=r"1\.png is of type uint8, .*0\.tif of float32"):
        dataset.images  # noqa: B018
    double = [np.full((4, 4), value, kind) for value, kind in ((1, "f4"), (2, "f2"), (0.1, "f8"))]
    images = Samples(double).images
    assert images.dtype == np.float64
    assert images[:, 0, 0, 0].tolist() == [1, 2, 0.1]


def test_a_file_as_a_tensor_is_a_fraction_of_its_depth(tmp_path):
    file = tmp_path / "0.png"
    Image.fromarray(DEEP).save(file)
    image, label = ImageFiles([file])[0]
    assert np.allclose(image[0], DEEP / 65_535)
    assert label is None


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (80, 80), (500, 333)])
@pytest.mark.parametrize("fitting", [Fitting(24), Fitting(28, 0.875, "bicubic"), Fitting(100)])
def test_the_shorter_side_is_resized_and_the_centre_taken(height, width, fitting):
    rows, columns = np.mgrid[:height, :width]
    photo = np.stack([rows, columns, rows + columns], axis=-1) % 256
    photo = photo.astype(np.uint8)
    shorter = int(fitting.size / fitting.fraction)
    if height < width:
        whole = shorter, int(shorter * width / height)
    else:
        whole = int(shorter * height / width), shorter
    method = Image.Resampling[fitting.interpolation.upper()]
    resized = np.asarray(Image.fromarray(photo).resize(whole[::-1], method))
    top, left = (round((side - fitting.size) / 2) for side in whole)
    expected = resized[top : top + fitting.size, left : left + fitting.size].astype(int)
    difference = np.abs(fitted(photo, fitting) - expected)
    # Pillow rounds between its two passes, whose order may be another.
    assert np.quantile(difference, 0.98) <= 1


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64, 1), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(fitted(stripes, Fitting(8)).astype(int) - 100).max() <= 15


@pytest.mark.parametrize("dtype", [np.bool_, np.uint16, np.int32, np.float16, np.float64])
@pytest.mark.parametrize("n_channels", [1, 2, 4])
def test_any_type_and_channels_are_resized_within_their_range(dtype, n_channels):
    generator = np.random.default_rng(0)
    image = (generator.random((40, 30, n_channels)) * 1_000 - 300).clip(0).astype(dtype)
    small = fitted(image, Fitting(10, interpolation="bicubic"))
    assert small.shape == (10, 10, n_channels)
    assert small.dtype == (np.uint8 if dtype == np.bool_ else dtype)
    if dtype != np.bool_:
        assert image.min() <= small.min() <= small.max() <= image.max()
        assert abs(small.mean() - image.mean()) < 60


def test_a_long_strip_takes_no_memory():
    strip = np.zeros((2, 60_000, 3), dtype=np.uint8)
    assert fitted(strip, Fitting(256)).shape == (256, 256, 3)


@pytest.mark.parametrize("sampler", ["cc-or", "km-or", "ae"])
@pytest.mark.filterwarnings("ignore::proxysample.data.decoding.ImageSizeWarning")
def test_a_folder_of_photographs_of_any_size_serves_every_sampler(sampler, tmp_path):
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            shape = (*generator.integers(20, 40, 2), 3)
            photo = Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8))
            photo.convert("L" if number == 3 else "RGB").save(tmp_path / name / f"{number}.png")
    dataset = load_dataset(f"folder:{tmp_path}").train
    parameters = {"km-or": {"n_clusters": 2, "random_state": 0}, "ae": {"epochs": 1}}
    kept = create_sampler(sampler, image_size=16, **parameters.get(sampler, {})).select(
        dataset, 0.5
    )
    assert len(kept) == 6
    assert len(create_sampler(sampler, **parameters.get(sampler, {})).select(dataset, 0.5)) == 6


def test_normalised_images_serve_where_no_network_of_ours_is():
    images = np.random.default_rng(0).standard_normal((20, 8, 8, 3)).astype(np.float32)
    labels = np.arange(20) % 2
    assert len(create_sampler("km-or", n_clusters=2).select(images, 0.5)) == 10
    assert len(create_sampler("cc-or").select(images, 0.5, y=labels)) == 10
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        create_sampler("ae").select(images, 0.5)
