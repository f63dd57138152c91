from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from proxysample import (
    CCOutlierRemoval,
    CCRandomSampling,
    Herding,
    InputError,
    RandomSampling,
    create_sampler,
    load_dataset,
)
from proxysample.data import Samples, read_csv, read_paths
from proxysample.data.keys import keys_of
from proxysample.data.reading import UnsureLabelsWarning

from ...mutations import mutations  # tests are no package

NAMES = [f"photos/{number}.png" for number in range(6)]
LABELS = ["cat", "dog"] * 3
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    (root / "photos").mkdir(parents=True)
    for name, pixels in zip(NAMES, PIXELS, strict=True):
        Image.fromarray(pixels).save(root / name)
    return root


def write(folder, *lines, name="train.csv"):
    (folder / name).write_text("\n".join(lines) + "\n")
    return f"csv:{folder / name}"


def rows(separator=","):
    return [f"{name}{separator}{label}" for name, label in zip(NAMES, LABELS, strict=True)]


@pytest.mark.parametrize(
    "lines",
    [
        ["path,label", *rows()],
        rows(),
        ["\ufefflabel;filename", *(";".join(reversed(row.split(","))) for row in rows())],
        ["id\tfile_name\tclass", *(f"{n}\t{row}" for n, row in enumerate(rows("\t")))],
        ["photo,species", *rows()],
    ],
    ids=["header", "no header", "mark and semicolons", "tabs", "other names"],
)
def test_a_csv_of_paths_and_labels(folder, lines):
    train = load_dataset(write(folder, *lines)).train
    assert np.array_equal(train.images, PIXELS)
    if "species" not in lines[0]:
        assert train.targets.tolist() == LABELS


def test_labels_of_digits_are_integers_where_all_are(folder):
    numbers = [f"{name},{index % 3}" for index, name in enumerate(NAMES)]
    assert read_csv(folder / write(folder, *numbers)[4:]).targets.tolist() == [0, 1, 2, 0, 1, 2]
    padded = [f"{name},0{index % 3}" for index, name in enumerate(NAMES)]
    assert load_dataset(write(folder, *padded)).train.targets[0] == "00"


def test_columns_are_named_where_several_may_be_meant(folder):
    lines = ["path,mask_file,label,class", *(f"{row},{row}" for row in rows())]
    lines = [lines[0], *(f"{name},{name},a,{label}" for name, label in zip(NAMES, LABELS))]  # noqa: B905
    spec = write(folder, *lines)
    with pytest.raises(InputError, match="columns label and class may each be the labels"):
        CCRandomSampling().select(load_dataset(spec).train, 0.5)
    assert load_dataset(spec, label="class").train.targets.tolist() == LABELS
    with pytest.raises(InputError, match="'clas'; did you mean 'class'"):
        load_dataset(spec, label="clas")
    both = write(folder, "path,file", *(f"{name},{name}" for name in NAMES), name="b.csv")
    with pytest.raises(InputError, match="path and file may each be the paths"):
        load_dataset(both).train[0]
    assert len(load_dataset(both, image="file").train) == 6


def test_several_columns_of_labels_stop_only_who_needs_classes(folder):
    several = "columns label and class may each be the labels"
    lines = [f"{name},{label},{label}" for name, label in zip(NAMES, LABELS, strict=True)]
    photos = load_dataset(write(folder, "path,label,class", *lines)).train
    lines = [f"{i},{i},x,{i % 2}" for i in range(6)]
    numbers = load_dataset(write(folder, "a,b,label,class", *lines, name="n.csv")).train
    frame = pd.DataFrame({"path": [str(folder / name) for name in NAMES]})
    frame = frame.assign(label=LABELS, **{"class": LABELS})
    for dataset in (photos, numbers, frame):
        assert len(RandomSampling().select(dataset, 0.5)) == 3
        with pytest.raises(InputError, match=several):
            CCRandomSampling().select(dataset, 0.5)
        with pytest.warns(UnsureLabelsWarning, match=several):
            create_sampler("auto").select(dataset, 0.5)
    for dataset in (photos, frame):
        assert len(Herding(per_class=False).select(dataset, 0.5)) == 3
        with pytest.warns(UnsureLabelsWarning, match=several):
            Herding().select(dataset, 0.5)
    # Which of the columns of numbers are features is not sure, either.
    with pytest.raises(InputError, match=several):
        Herding(per_class=False).select(numbers, 0.5)


def test_labels_that_are_all_different_are_classes_for_nobody_unasked(folder, recwarn):
    photos = read_csv(folder / write(folder, *(f"{n},id{i}" for i, n in enumerate(NAMES)))[4:])
    for sampler, kind in ((Herding(), "herding"), (create_sampler("auto"), "rs")):
        with pytest.warns(UnsureLabelsWarning, match="all 6 labels are different, such as id0"):
            sampler.rank(photos)
        assert getattr(sampler, "chosen_", sampler).id == kind
    assert Herding().fit(photos, distinct_labels=True).ranking_.codes is not None
    # Nor are classes lost where each sample is one.
    recwarn.clear()
    RandomSampling().select(photos, 0.5)
    assert not recwarn


def test_a_table_without_known_labels_names_its_columns(folder):
    frame = pd.DataFrame({"filename": [str(folder / name) for name in NAMES], "species": LABELS})
    with pytest.raises(InputError, match=r"its columns are species, one of which label= may name"):
        CCRandomSampling().select(frame, 0.5)
    with pytest.raises(InputError, match=r"'species' holds no numbers, of a, species: .*label="):
        Herding().select(pd.DataFrame({"a": range(6), "species": LABELS}), 0.5)


@pytest.mark.parametrize(
    ("sampler", "length"), [(Herding(), 2), (Herding(), 64), (CCRandomSampling(), 64)]
)
def test_a_list_of_rows_of_numbers_is_to_be_an_array(sampler, length):
    with pytest.raises(InputError, match=r"numbers are passed as an array|numpy.asarray\(rows\)"):
        sampler.select([[1.0] * length] * 6, 0.5)


def test_several_columns_of_paths_stop_only_who_decodes(folder):
    frame = pd.DataFrame({"path": NAMES, "file": NAMES, "label": LABELS})
    spec = write(folder, "path,file,label", *(f"{n},{n},{c}" for n, c in zip(NAMES, LABELS)))  # noqa: B905
    for dataset in (frame, load_dataset(spec).train):
        assert len(RandomSampling(random_state=0).select(dataset, n=2)) == 2
        kept = CCRandomSampling(random_state=0).select(dataset, n=2)
        assert {LABELS[index] for index in kept} == set(LABELS)
        with pytest.raises(InputError, match=r"path and file may each be the paths: pass image="):
            CCOutlierRemoval().select(dataset, n=2)
    # None of them names the samples.
    assert keys_of(load_dataset(spec).train) is None
    assert "6 samples" in repr(load_dataset(spec).train)


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "photos/../../outside.png"])
def test_paths_of_a_csv_stay_in_its_folder_unless_the_user_says_otherwise(folder, path):
    Image.fromarray(PIXELS[0]).save(folder.parent / "outside.png")
    spec = write(folder, "path,label", f"{path},cat")
    with pytest.raises(InputError, match=r"sample 0: .* leads out of"):
        load_dataset(spec)
    if not path.startswith("/"):
        (folder / "b.csv").write_text(f"path\ndata/{path}\n")
        dataset = read_csv(folder / "b.csv", root=folder.parent)
        assert np.array_equal(dataset.images[0], PIXELS[0])
    assert len(read_csv(folder / "train.csv", root="/")) == 1


def test_a_link_out_of_the_folder_is_refused(folder):
    Image.fromarray(PIXELS[0]).save(folder.parent / "outside.png")
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    with pytest.raises(InputError, match=r"'link\.png' leads out"):
        load_dataset(write(folder, "path,label", "link.png,cat"))


class Nowhere(os.PathLike):
    def __fspath__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("path", [Nowhere(), Path(), "", "a\0.png"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InputError, match=r"sample 1: .* is no (path of a|regular) file"):
        read_paths(["a.png", path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"path,label\n", "empty"),
        (b"path,label\na.png\n", "row 2 has 1 fields, and the first 2"),
        (b"path,path\na.png,b.png\n", "names a column twice"),
        (b"name,age\nbob,3\n", "none of the columns name, age holds paths"),
        (b"a.png,1,2\nb.png,1,2\n", "no header and 3 columns"),
        (b"path,label\n\xff\xfe,cat\n", "no table of text"),
        (b"path,label\n,cat\n", "none of the columns|is no path"),
        (b'path,label\n"a.png,cat\n', "no table of text"),
        (b"path,label\na\0.png,cat\n", "is no path|no table of text"),
        (b"path\n" + b"a" * 200_000 + b".png\n", "no table of text"),
    ],
)
def test_what_is_no_such_table_is_refused(folder, content, message):
    (folder / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_dataset(f"csv:{folder}/a.csv")


def test_missing_files_are_told_when_they_are_read(folder):
    with pytest.raises(InputError, match="no such file"):
        load_dataset(f"csv:{folder}/missing.csv")
    train = load_dataset(write(folder, *rows(), "photos/9.png,cat")).train
    assert len(RandomSampling(random_state=0).select(train, 0.5)) == 4
    with pytest.raises(InputError, match=r"image 6 of 7: .*9\.png"):
        train[6]


def test_a_pipe_is_no_image(folder):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(InputError, match="no regular file"):
        load_dataset(write(folder, "path,label", "pipe.png,cat"))


def test_mutated_tables_are_read_or_refused(folder):
    content = "\n".join(["path,label", *rows()]).encode()
    for mutated in mutations(content, 500, head=len(content)):
        (folder / "a.csv").write_bytes(mutated)
        try:
            dataset = load_dataset(f"csv:{folder}/a.csv").train
        except InputError:
            continue
        for file in dataset.files:
            assert file.resolve().is_relative_to(folder.resolve())


def absolute(folder):
    return [str(folder / name) for name in NAMES]


def frames(folder):
    columns = {"path": absolute(folder), "label": LABELS}
    found = [pd.DataFrame(columns), pd.DataFrame(columns, index=range(10, 16))]
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    return [*found, polars.DataFrame(columns), pyarrow.table(columns)]


def test_frames_of_paths_and_labels_are_datasets(folder):
    chosen = []
    for frame in frames(folder):
        samples = Samples(frame)
        assert samples.labels.tolist() == LABELS
        assert np.array_equal(samples.images, PIXELS)
        chosen.append(CCOutlierRemoval().select(frame, 0.5).tolist())
        assert len(RandomSampling(random_state=0).subset(frame, 0.5)) == 3
        assert read_paths(frame).targets.tolist() == LABELS
    assert all(one == chosen[0] for one in chosen)


def test_columns_of_a_frame_are_named(folder):
    frame = pd.DataFrame({"photo": absolute(folder), "label": range(6), "kind": LABELS})
    for given in ({"label": "kind"}, {"image": "photo", "label": "kind"}):
        assert Samples(frame, **given).labels.tolist() == LABELS
        assert np.array_equal(Samples(frame, **given).images, PIXELS)
    assert Samples(frame, "kind").labels.tolist() == LABELS


def test_frames_of_numbers_are_features(folder):
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    columns = {"a": np.arange(6.0), "b": np.arange(6), "label": LABELS}
    for frame in (polars.DataFrame(columns), pyarrow.table(columns)):
        assert np.array_equal(Samples(frame).images, np.stack([np.arange(6.0)] * 2, axis=1))
        assert Samples(frame).labels.tolist() == LABELS
    with pytest.raises(InputError, match=r"pass its collect\(\)"):
        Samples(polars.DataFrame(columns).lazy())


@pytest.mark.parametrize("of_paths", [False, True])
def test_lists_of_files(folder, of_paths):
    files = [folder / name for name in NAMES] if of_paths else absolute(folder)
    assert np.array_equal(Samples(files, LABELS).images, PIXELS)
    pairs = list(zip(files, LABELS, strict=True))
    assert Samples(pairs).labels.tolist() == LABELS
    assert np.array_equal(Samples(pairs).images, PIXELS)
    assert read_paths(NAMES, root=folder).files[0] == folder / NAMES[0]
    for column in (pd.Series(files), np.array(files), pd.Series(files, index=[9] * len(files))):
        assert np.array_equal(Samples(column, LABELS).images, PIXELS)


@pytest.mark.parametrize("table", [[], [("a.png", 1), "b.png"], ["a.png", 3], ["a.png", ""], 7])
def test_lists_of_something_else_are_refused(table):
    with pytest.raises(InputError):
        len(Samples(read_paths(table)))


def test_odd_labels_stop_only_who_needs_classes(folder):
    frame = pd.DataFrame({"path": absolute(folder), "label": [[1, 2]] * 6})
    assert len(RandomSampling(random_state=0).select(frame, 0.5)) == 3
    with pytest.raises(InputError, match="label"):
        CCRandomSampling(random_state=0).select(frame, 0.5)


def test_a_csv_of_numbers_holds_features(tmp_path):
    rows = ["a,b,label", "0.5,2,cat", "1,3,dog", "2,,cat", "3,1,dog"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    train = load_dataset(f"csv:{tmp_path}/a.csv").train
    assert train.targets.tolist() == ["cat", "dog"] * 2
    assert np.array_equal(train.images[:2], [[0.5, 2], [1, 3]])
    # What is empty is missing, and stops who reads it.
    with pytest.raises(InputError, match="sample 2 holds NaN"):
        CCOutlierRemoval().select(train, 0.5)
    for options in ("features=a,label=b", "features=0,label=1"):
        spec = f"csv,{options}:{tmp_path}/a.csv"
        assert load_dataset(spec).train.images.tolist() == [[0.5], [1], [2], [3]]
    with pytest.raises(InputError, match=r"none of the columns a, b, label .*'label' no numbers"):
        load_dataset(f"csv:{tmp_path}/a.csv", label="b")


def test_an_empty_label_of_a_csv_is_missing(tmp_path):
    (tmp_path / "a.csv").write_text("Image Path,Class Name\n0.png,1\n1.png,\n2.png,0\n3.png,1\n")
    train = load_dataset(f"csv:{tmp_path}/a.csv").train
    assert list(train.targets) == [1, None, 0, 1]
    assert len(RandomSampling(random_state=0).select(train, 0.5)) == 2
    with pytest.raises(
        InputError, match=r"missing for 1 of 4 samples, first for sample 1 \(.*1\.png\)"
    ):
        CCRandomSampling(random_state=0).select(train, 0.5)


def test_a_file_of_another_kind_in_a_list_is_read_by_its_content(tmp_path):
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    files = []
    for number in range(4):
        files.append(str(tmp_path / f"{number}.gif"))
        Image.fromarray(pixels + number).save(files[-1])
    assert len(CCOutlierRemoval().select(files, 0.5, y=[0, 1] * 2)) == 2


@pytest.mark.parametrize("name", [Decimal("sNaN"), ["path"]])
def test_what_has_no_hash_is_no_column(name):
    with pytest.raises(InputError, match="unknown column"):
        read_paths(pd.DataFrame({"path": ["a.png"]}), path=name)
