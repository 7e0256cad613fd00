"""Pickles: NumPy arrays and plain containers are loaded; everything else is refused, and no code is run."""

from __future__ import annotations

import collections
import functools
import os
import pickle
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from i2md.data.readers import open_source
from i2md.data.readers.arrays import safe_pickle
from i2md.errors import InputError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
ONE_FOLDER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
KINDS = [">f4", "<f2", "<f8", "<i8", ">i2", "|u1", "|b1", "<c8", "<U5", "|S3"]
ARRAY = st.sampled_from(KINDS).flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0)))
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array


ANYTHING = st.recursive(
    SIMPLE | ARRAY | ARRAY.filter(lambda array: array.size).map(lambda array: array.ravel()[0]),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.dictionaries(st.text(), inner).map(collections.OrderedDict)
        | st.sets(st.text())
        | st.lists(inner).map(_objects)
    ),
    max_leaves=12,
)


def _load(folder: Path, data: bytes) -> Any:
    (folder / "it.pkl").write_bytes(data)
    return safe_pickle.load(folder / "it.pkl")


def _same(ours: Any, theirs: Any) -> None:
    """Equal including types; an OrderedDict is loaded as a dict."""
    if isinstance(theirs, np.ndarray):
        assert type(ours) is np.ndarray and ours.dtype == theirs.dtype and ours.shape == theirs.shape
        if theirs.dtype == object:
            _same(ours.tolist(), theirs.tolist())
        else:
            assert ours.tobytes() == theirs.tobytes()
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        _same(list(ours.values()), list(theirs.values()))
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs) and len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            _same(mine, other)
    else:
        assert type(ours) is type(theirs) and (ours == theirs or ours != ours)


@ONE_FOLDER
@given(value=ANYTHING, protocol=st.sampled_from(PROTOCOLS))
def test_values_written_by_pickle_are_loaded(value: Any, protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps(value, protocol)
    _same(_load(tmp_path, data), pickle.loads(data))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("numpys", [b"numpy.core", b"numpy._core"])
def test_globals_of_numpy_1_and_2(protocol: int, numpys: bytes, tmp_path: Path) -> None:
    positions = np.random.default_rng(0).normal(size=(2, 7, 25, 3))
    value = [
        positions,
        positions.transpose(2, 0, 1, 3),
        positions[:, ::2],
        np.float32(0.5),
        np.asfortranarray(positions),
    ]
    data = pickle.dumps(value, protocol)
    own = b"numpy._core" if b"numpy._core" in data else b"numpy.core"
    data = data.replace(own, numpys) if protocol < 4 else _renamed(data, own, numpys)
    _same(_load(tmp_path, data), value)


def _renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a string; from protocol 4 on strings and frames are stored with their lengths."""
    frameless = data[:2] + (data[11:] if data[2:3] == b"\x95" else data[2:])
    for ending in (b".multiarray", b".numeric"):
        before, after = old + ending, new + ending
        frameless = frameless.replace(b"\x8c" + bytes([len(before)]) + before, b"\x8c" + bytes([len(after)]) + after)
    return frameless


def test_strings_of_python_2_are_bytes(tmp_path: Path) -> None:
    names = b"(lp0\nS'S001C001P001R001A001.skeleton'\np1\naI7\na."
    assert _load(tmp_path, names) == ["S001C001P001R001A001.skeleton", 7]
    raw = np.array([-1.5, 3e9], "<f8").tobytes()
    array = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(raw)]) + raw + b"tb."
    )
    assert pickle.loads(array, encoding="latin1").tolist() == _load(tmp_path, array).tolist() == [-1.5, 3e9]


class _Runs:
    """An object whose pickle calls a function."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.asked = call, arguments

    def __reduce__(self) -> Any:
        return self.asked


def _commands(mark: Path) -> dict[str, Any]:
    command = f"touch {mark}"
    return {
        "os.system": _Runs(os.system, command),
        "os.popen": _Runs(os.popen, command),
        "subprocess": _Runs(subprocess.check_output, ["touch", str(mark)]),
        "eval": _Runs(eval, f"open({str(mark)!r}, 'w').close()"),
        "exec": _Runs(exec, f"open({str(mark)!r}, 'w').close()"),
        "open": _Runs(open, str(mark), "w"),
        "partial": _Runs(functools.partial(os.system, command)),
        "getattr": _Runs(getattr, np.ndarray, "tofile"),
        "np.save": _Runs(np.save, str(mark), np.zeros(2)),
        "np.memmap": _Runs(np.memmap, str(mark), "f4", "w+", 0, (4,)),
        "import": _Runs(__import__, "antigravity"),
        "a path": mark,
        "a subclass": np.ma.masked_array([1.0], [True]),
        "a class": np.random.default_rng,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("which", _commands(Path("x")))
def test_malicious_pickle_runs_no_code(which: str, protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "it ran".replace(" ", "-")
    hostile = _commands(mark)[which]
    for value in (hostile, {"split": {}, "annotations": [hostile]}, _objects([hostile])):
        with pytest.raises(
            InputError, match=r"it\.pkl: this pickle (asks for \S+|uses the instruction \w+);"
        ) as raised:
            _load(tmp_path, pickle.dumps(value, protocol))
        assert "\n" not in str(raised.value) and not mark.exists()


def test_message_names_the_global(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"asks for posix\.system; .* nothing was run"):
        _load(tmp_path, b"cposix\nsystem\n(S'touch it'\ntR.")
    with pytest.raises(InputError, match=r"asks for os\\x1b\[2J\.system;"):
        _load(tmp_path, b"\x80\x04\x8c\x06os\x1b[2J\x8c\x06system\x93)R.")


DTYPE_O = b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR"
FIELDS = b"(I3\nS'|'\nN(S'a'\nt(dS'a'\n(cnumpy\ndtype\n(S'O8'\nI00\nI01\ntRI0\ntsI8\nI1\nI16\ntb"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = RECONSTRUCT + b"(cnumpy\nndarray\n(I0\ntS'b'\ntR"
MISUSE = {
    "objects out of bytes": b"cnumpy.core.numeric\n_frombuffer\n(S'%b'\n" % (b"A" * 8) + DTYPE_O + b"(I1\ntS'C'\ntR.",
    "a scalar out of bytes": b"cnumpy.core.multiarray\nscalar\n(" + DTYPE_O + b"S'%b'\ntR." % (b"A" * 8),
    "more objects than there are": EMPTY + b"(I1\n(I1000000\nt" + DTYPE_O + b"I00\n(lNatb.",
    "fields of objects": EMPTY + b"(I1\n(I1\ntcnumpy\ndtype\n(S'V8'\nI00\nI01\ntR" + FIELDS + b"I00\nS'AAAAAAAA'\ntb.",
    "fields on a plain dtype": EMPTY + b"(I1\n(I1\ntcnumpy\ndtype\n(S'f8'\ntR" + FIELDS + b"I00\nS'AAAAAAAA'\ntb.",
    "more numbers than there are": EMPTY + b"(I1\n(I1000000\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS'AAAAAAAA'\ntb.",
    "a negative shape": EMPTY + b"(I1\n(I-1\nI-1\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS'AAAAAAAA'\ntb.",
    "a large new array": RECONSTRUCT + b"(cnumpy\nndarray\n(L1000000000000L\ntS'b'\ntR.",
    "an array of another class": RECONSTRUCT + b"(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
    "an array called": b"cnumpy\nndarray\n((I1000\nttR.",
    "a codec of its choice": b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
    "a large bytearray": b"cbuiltins\nbytearray\n(L1000000000000L\ntR.",
    "attributes of a list": b"(l(dS'append'\nNsb.",
    "attributes of a name": b"c_codecs\nencode\n(dS'make'\nNsb.",
    "a dtype by commas": b"cnumpy\ndtype\n(S'O,O'\ntR.",
    "a key that hashes for ever": b"(d" + b"(" * 100_000 + b"t" * 100_000 + b"Ns.",
    "a class with arguments": b"(S'touch it'\nios\nsystem\n.",
    "a new object": b"\x80\x02cnumpy\nndarray\n(I1000\nt\x81.",
    "an object by number": b"\x80\x02\x82\x01.",
    "a persistent object": b"Ptouch it\n.",
    "a list that is a number": b"I1\nNa.",
    "a call of a number": b"I1\n(tR.",
    "a buffer from outside": b"\x80\x05\x97.",
}
DAMAGE = {
    "nothing": b"",
    "no pickle": b"PK\x03\x04 this is a zip",
    "text": b"hello\n",
    "no end": b"(lp0\n",
    "nothing on the stack": b".",
    "a mark for a value": b"(.",
    "a memory that is not there": b"g7\n.",
    "more than the file": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
    "more bytes than the file": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "half a dict": b"(I1\nd.",
}


@pytest.mark.parametrize("which", MISUSE)
def test_permitted_globals_reject_invalid_arguments(which: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it\.pkl: (this|not a whole) pickle"):
        _load(tmp_path, MISUSE[which])


@pytest.mark.parametrize("which", DAMAGE)
def test_file_that_is_not_a_pickle_is_an_input_error(which: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"it\.pkl: not a whole pickle \(.+\); download it or write it again"
    ) as raised:
        _load(tmp_path, DAMAGE[which])
    assert str(raised.value).isprintable()


def test_large_numbers_in_a_small_pickle_use_no_memory(tmp_path: Path) -> None:
    # Python's own unpickler allocates the memo up to the index given: here 32 GB.
    assert _load(tmp_path, b"\x80\x02Nr\xff\xff\xff\x7f.") is None


def test_recursive_containers_are_loaded(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    ours = _load(tmp_path, pickle.dumps(endless))
    assert ours[0] is ours
    deep = _load(tmp_path, b"(l" * 200_000 + b"a" * 199_999 + b".")
    while deep:
        deep = deep[0]


def _sound_pickles() -> list[bytes]:
    value = {"split": {"train": ["a"]}, "annotations": [{"keypoint": np.ones((1, 2, 3, 2), np.float16), "label": 3}]}
    return [pickle.dumps(value, protocol) for protocol in PROTOCOLS]


@ONE_FOLDER
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:.*escape sequence:DeprecationWarning")
def test_damaged_pickle_is_an_input_error_or_loaded(data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray(data.draw(st.sampled_from(_sound_pickles())))
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=3)):
        whole[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        _load(tmp_path, bytes(whole[:cut]))
    except InputError as refused:
        assert "\n" not in str(refused)


def test_file_that_cannot_be_opened_is_an_input_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.pkl"):
        with pytest.raises(InputError, match=r"cannot be read .*; give the file itself"):
            safe_pickle.load(path)


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _annotation_with(key: str, instructions: bytes) -> bytes:
    """A bare list of one annotation for pyskl, in which instructions make the value of a key."""
    keypoint = pickle.dumps(np.ones((1, 6, 25, 3), np.float32), protocol=2)[2:-1]
    values = {"frame_dir": _text("a"), "label": b"K\x00", "keypoint": keypoint} | {key: instructions}
    return b"\x80\x02]}(" + b"".join(_text(name) + value for name, value in values.items()) + b"ua."


NESTED = 50_000
HOSTILE = {
    "nested lists": b"]" * NESTED + b"a" * (NESTED - 1),
    "nested tuples": b")" + b"\x85" * NESTED,
    "a tuple of itself twice, 60 times": b")" + b"2\x86" * 60,
    "a list in itself": b"]2a",
    "a number of a megabyte": b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20),
    "a text of a megabyte": _text("x" * (1 << 20)),
    "an array of empty strings": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01\x8a\x05\x00\x00\x00\x00\x10\x85"
        b"cnumpy\ndtype\n(U\x02S0K\x00K\x01tR\x89U\x00tb"
    ),
    "not a number": b"G" + struct.pack(">d", float("nan")),
    "an infinite number": b"G" + struct.pack(">d", float("inf")),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("key", ["frame_dir", "label", "keypoint", "total_frames", "img_shape"])
def test_hostile_value_of_an_annotation_is_an_input_error(key: str, value: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(_annotation_with(key, value))
    with pytest.raises(InputError) as caught:
        open_source("pyskl", tmp_path / "x.pkl")
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("form", ["split", "part", "key"])
def test_hostile_split_is_an_input_error(form: str, value: bytes, tmp_path: Path) -> None:
    annotations = _annotation_with("label", b"K\x00")[2:-1]
    split = {"split": value, "part": b"}" + _text("train") + value + b"s", "key": b"}" + value + b"]s"}[form]
    whole = b"\x80\x02}(" + _text("annotations") + annotations + _text("split") + split + b"u."
    (tmp_path / "x.pkl").write_bytes(whole)
    try:
        # A part of a very long name is unusual but valid.
        assert list(open_source("pyskl", tmp_path / "x.pkl").splits) == ["x" * (1 << 20)] and form == "key"
    except InputError as error:
        assert len(str(error)) < 500 and "\n" not in str(error)


@pytest.mark.parametrize("depth", [100, 10_000])
def test_arrays_in_arrays_are_limited(depth: int, tmp_path: Path) -> None:
    start = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x01\x85"
        b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb\x89]"
    )
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02" + start * depth + b"K\x07" + b"atb" * depth + b".")
    if depth > 1000:
        with pytest.raises(InputError, match="holds more than 1000 arrays of arrays"):
            safe_pickle.load(tmp_path / "x.pkl")
        return
    value = safe_pickle.load(tmp_path / "x.pkl")
    for _ in range(depth):
        (value,) = value
    assert value == 7
