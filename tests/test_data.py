"""Sample files: the two layouts, streaming, and one clear message for each thing that may be wrong."""

import itertools
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from intaglio.data import Replayed, checked_samples, load_samples
from intaglio.errors import UserError

SHAPE = (1, 1, 4, 3)


def values(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.npz"


@pytest.mark.parametrize("shape", [(5, 1, 1, 4, 3), (5, 1, 4, 3)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_both_layouts_give_the_same_samples(file: Path, shape: tuple[int, ...], save, order: str):
    data = values(*shape)
    save(file, input=np.asarray(data, order=order), label=np.arange(5))
    samples = load_samples(file, {"input": SHAPE})
    assert len(samples) == 5
    assert samples.labels is not None and samples.labels.tolist() == [0, 1, 2, 3, 4]
    for _ in range(2):
        got = [sample["input"] for sample in samples]
        assert all(value.shape == SHAPE and value.dtype == np.float32 for value in got)
        np.testing.assert_array_equal(np.stack(got).ravel(), data.ravel())


def test_first_dimension_may_hold_several_samples_of_a_larger_batch(file: Path):
    np.savez(file, x=values(6, 3), label=np.arange(6))
    samples = load_samples(file, {"x": (2, 3)})
    assert [sample["x"].tolist() for sample in samples] == values(3, 2, 3).tolist()
    assert samples.labels is not None and samples.labels.shape == (6,)


def test_entries_that_do_not_make_whole_batches_are_refused(file: Path):
    np.savez(file, x=values(7, 3))
    with pytest.raises(UserError, match=r"'x' has 7 entries, which do not make whole batches of 2"):
        load_samples(file, {"x": (2, 3)})


def test_inputs_are_converted_between_floats_only(file: Path):
    np.savez(file, a=values(2, 3).astype(np.float64), b=np.arange(2, dtype=np.int32))
    samples = load_samples(file, {"a": (3,), "b": ()}, {"b": np.dtype(np.int64)})
    first, second = samples
    assert first["a"].dtype == np.float32 and first["b"].dtype == np.int64
    assert second["b"].shape == () and second["b"] == 1 and samples.labels is None


def test_an_input_may_be_called_label(file: Path):
    np.savez(file, label=values(2, 3))
    samples = load_samples(file, {"label": (3,)})
    assert samples.labels is None
    assert [sample["label"].tolist() for sample in samples] == values(2, 3).tolist()


def test_memory_does_not_grow_with_the_file(file: Path):
    np.savez_compressed(file, x=np.zeros((2000, 100, 100), np.float32))
    samples = load_samples(file, {"x": (100, 100)})
    tracemalloc.start()
    count = sum(1 for _ in samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2000 and peak < 2_000_000


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": values(2, 3)}, "no array 'x' and array 'y' is no input"),
        ({"x": values(2, 3), "z": values(2)}, "array 'z' is no input"),
        ({"x": values(2, 4)}, r"shape \[2, 4\], but the input has shape \[3\]"),
        ({"x": values(2, 1, 3)}, r"shape \[2, 1, 3\], but"),
        ({"x": np.zeros((0, 3), np.float32)}, "no samples"),
        ({"x": np.zeros((2, 3), np.uint8)}, "is uint8, but the input is float32"),
        ({"x": np.zeros((2, 3), np.complex64)}, "is complex64"),
        ({"x": np.array(["a", "b"])}, "is <U1"),
        ({"x": np.array([{}, {}])}, "holds Python objects"),
        ({"x": values(2, 3), "label": np.arange(3)}, r"'label' has shape \[3\], expected 2"),
        ({"x": values(2, 3), "label": np.array(1)}, r"'label' has shape \[\]"),
    ],
)
def test_what_does_not_fit_is_reported(file: Path, arrays: dict[str, np.ndarray], message: str):
    np.savez(file, **arrays)
    with pytest.raises(UserError, match=message) as error:
        load_samples(file, {"x": (3,)})
    assert str(file) in str(error.value)


def test_inputs_must_agree_on_the_number_of_samples(file: Path):
    np.savez(file, a=values(2, 3), b=values(4, 3))
    with pytest.raises(UserError, match="a has 2, b has 4"):
        load_samples(file, {"a": (3,), "b": (3,)})


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (1e300, "infinite")])
def test_values_that_are_no_numbers_name_the_sample(file: Path, bad: float, word: str):
    data = values(3, 3).astype(np.float64)
    data[1, 2] = bad
    np.savez(file, x=data)
    samples = iter(load_samples(file, {"x": (3,)}))
    next(samples)
    with pytest.raises(UserError, match=f"'x' has {word} values") as error:
        next(samples)
    assert "sample 1" in str(error.value)


def test_missing_file(file: Path):
    with pytest.raises(UserError, match="no such file"):
        load_samples(file, {"x": (3,)})


@pytest.mark.parametrize("content", [b"", b"not a zip", np.zeros(3).tobytes()])
def test_a_file_that_is_no_archive(file: Path, content: bytes):
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"no sound \.npz archive"):
        load_samples(file, {"x": (3,)})


def test_a_folder(tmp_path: Path):
    with pytest.raises(UserError, match="cannot read the file"):
        load_samples(tmp_path, {"x": (3,)})


def test_an_archive_of_something_else(file: Path):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"hello, this is no array")
    with pytest.raises(UserError, match="not a NumPy array"):
        load_samples(file, {"x": (3,)})


def test_a_header_that_promises_more_than_there_is(file: Path, tmp_path: Path):
    np.save(tmp_path / "x.npy", values(2, 3))
    content = (tmp_path / "x.npy").read_bytes().replace(b"(2, 3)", b"(9, 3)")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(UserError, match="cut short or damaged"):
        load_samples(file, {"x": (3,)})


def test_damaged_data(file: Path):
    np.savez(file, x=values(2000, 3))
    content = bytearray(file.read_bytes())
    content[5000] ^= 255
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"no sound \.npz archive"):
        list(load_samples(file, {"x": (3,)}))


def test_iterables_are_checked_sample_by_sample():
    good = {"x": np.zeros(3)}
    checked = checked_samples(iter([good, {"x": np.full(3, np.nan)}]), {"x": (3,)})
    assert next(checked)["x"].dtype == np.float32
    with pytest.raises(UserError, match=r"(?s)NaN"):
        next(checked)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({}, "has the arrays none"),
        ({"x": np.zeros(3), "y": np.zeros(3)}, "has the arrays x, y"),
        ({"x": np.zeros((1, 3))}, r"shape \[1, 3\]"),
        ({"x": np.zeros(3, np.uint8)}, "is uint8"),
    ],
)
def test_bad_samples_of_an_iterable(sample: dict[str, np.ndarray], message: str):
    with pytest.raises(UserError, match=message):
        next(checked_samples([sample], {"x": (3,)}))


def test_replayed_samples_are_kept_as_far_as_they_fit():
    arrays = [{"x": np.full(4, k, np.float32)} for k in range(5)]
    replayed = Replayed(iter(arrays), most_bytes=40)
    assert [sample["x"][0] for sample in itertools.islice(replayed, 1)] == [0]
    assert [sample["x"][0] for sample in replayed] == [0, 1, 2, 3, 4]
    assert [sample["x"][0] for sample in replayed] == [0, 1]


def test_first_replayed_sample_is_kept_whatever_its_size():
    replayed = Replayed(iter([{"x": np.zeros(100)}, {"x": np.ones(100)}]), most_bytes=1)
    assert len(list(replayed)) == 2 and len(list(replayed)) == 1
