"""Hostile and damaged files: nothing in a file is run, every trap and every damage is an error, and a quick one."""

import collections
import io
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from errors import refused
from fuzz_files import archive_of, legacy, seeds, touch, zipped

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.serialization.writing import Pickler

ROOT = Path(__file__).resolve().parent.parent


# -- nothing is run ----------------------------------------------------------------------------------------------------

class Evil:
    def __init__(self, function, *args):
        self.what = function, args

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("weights_only", [True, False, None])
def test_a_file_cannot_run_anything(tmp_path, protocol, weights_only):
    trace = tmp_path / "trace"
    for evil in (Evil(os.system, f"touch {trace}"), Evil(exec, f"open({str(trace)!r}, 'w')"),
                 Evil(open, str(trace), "w"), Evil(getattr, 1, "real"), Evil(np.load, "x"),
                 Evil(torch.load, "x"), Evil(nn.Linear, 2, 2)):
        for value in (evil, {"w": evil}, [evil]):
            data = pickle.dumps(value, protocol)
            refused(archive_of(data), weights_only=weights_only)
            refused(data, weights_only=weights_only)
            refused(legacy(data, []), weights_only=weights_only)
    assert not trace.exists()


ORDERED = b"ccollections\nOrderedDict\n"
BOMBS = {
    "no opcode": b"\x80\x02i.", "empty": b"", "only stop": b".", "stack": b"\x80\x02R.", "two values": b"\x80\x02NN.",
    "open mark": b"\x80\x02(N.", "name as value": b"\x80\x02" + ORDERED + b".",
    "storage type as value": b"ctorch\nFloatStorage\n.",
    "protocol": b"\x80\x09N.", "truncated": b"\x80\x02X\xff\xff\xff\xffab", "long": b"\x80\x02\x8b\xff\xff\xff\x7f1.",
    "missing memo": b"\x80\x02h\x05.", "list as key": b"\x80\x02}]Ns.", "odd items": b"\x80\x02}(Nu.",
    "append to dict": b"\x80\x02}Na.", "set items of list": b"\x80\x02]NNs.", "build of list": b"\x80\x02]}b.",
    "no line end": b"\x80\x02c" + b"a" * 5000, "bad utf8": b"\x80\x02cos\xff\nx\n.",
    "huge key": b"\x80\x02}\x8a\x09" + b"\xff" * 8 + b"\x00Ns.", "frame": b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
    "persistent": b"\x80\x02NQ.", "bytes": b"\x80\x02B\xff\xff\xff\x7f.",
    "wide text": b"\x80\x02\x8d" + b"\xff" * 8 + b".",
    # a tuple that holds itself twice, 60 times over: its hash would take 2**60 steps
    "hash": b"\x80\x02}" + b")" + b"2\x86" * 60 + b"Ns.",
    # one list of 60000 items, copied for seven bytes each time
    "copies": b"\x80\x02(" + b"K\x01" * 60000 + b"lq\x00c__builtin__\nset\nq\x01" + b"h\x01h\x00\x85R0" * 40000 + b"N.",
    "text number": b"\x80\x02I1\n.", "size": b"\x80\x02ctorch\nSize\n(J\xff\xff\xff\xfft\x85R.",
    "device": b"\x80\x02ctorch\ndevice\nX\x03\x00\x00\x00foo\x85R.",
    "codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
    "numpy object": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.",
    "attribute of a dict": b"\x80\x02" + ORDERED + b")R]b.",
    "complex": b"\x80\x02ctorch\ncomplex64\n.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_traps_are_refused_quickly(name):
    start = time.perf_counter()
    refused(archive_of(BOMBS[name]))
    assert time.perf_counter() - start < 3


def test_deep_nesting_is_no_recursion():
    depth = 100_000
    value = torch.load(archive_of(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."))
    for _ in range(depth - 1):
        value = value[0]
    assert value == []
    nested = []
    for _ in range(depth):
        nested = [nested]
    with pytest.raises(RecursionError, match="nested too deeply"):
        torch.save(nested, io.BytesIO())


def tensor_pickle(offset=0, size=(2, 3), stride=(3, 1), count=6, kind="Float", requires_grad=False, location="cpu",
                  key="0"):
    """The pickle of one tensor, of the given parts whether they fit or not."""
    p = Pickler()
    p.name("torch._utils._rebuild_tensor_v2")
    p.out += b"(("
    p.save("storage")
    p.name(f"torch.{kind}Storage")
    for part in (key, location, count):
        p.save(part)
    p.out += b"tQ"
    for part in (offset, size, stride, requires_grad, collections.OrderedDict()):
        p.save(part)
    return bytes(p.out + b"tR.")


DATA = np.arange(6, dtype=np.float32).tobytes()


def test_a_handmade_tensor_loads():
    assert torch.load(archive_of(tensor_pickle(), [DATA])).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.load(archive_of(tensor_pickle(0, (), ()), [DATA])).item() == 0
    assert torch.load(archive_of(tensor_pickle(2, (1 << 40,), (0,)), [DATA])).shape == (1 << 40,)


@pytest.mark.parametrize("parts", [
    {"offset": 1}, {"offset": -1}, {"offset": 1 << 62}, {"offset": 0.0}, {"offset": None}, {"size": (2, 4)},
    {"size": (-1, 3)}, {"size": (1 << 61, 3)}, {"size": (1 << 31, 1 << 31)}, {"size": (2,)}, {"size": [2, 3]},
    {"size": (True, 3)}, {"stride": (4, 1)}, {"stride": (-3, 1)}, {"stride": (1 << 62, 1)}, {"stride": (3,)},
    {"stride": (1 << 61, 1 << 61)}, {"stride": None}, {"count": 5}, {"count": 7}, {"count": -6}, {"count": 1 << 70},
    {"count": "6"}, {"kind": "Double"}, {"kind": "Half"}, {"kind": "ComplexFloat"}, {"kind": "Nothing"}, {"key": "1"},
    {"key": "../version"}, {"key": 0}, {"requires_grad": 1}, {"kind": "Int", "requires_grad": True},
    {"size": (1,) * 20, "stride": (1,) * 20}, {"location": 3}], ids=str)
def test_tensors_must_fit_their_storage(parts):
    refused(archive_of(tensor_pickle(**parts), [DATA]))


def test_bools_are_0_or_1():
    parts = {"kind": "Bool", "size": (3,), "stride": (1,), "count": 3}
    assert torch.load(archive_of(tensor_pickle(**parts), [b"\0\1\0"])).tolist() == [False, True, False]
    refused(archive_of(tensor_pickle(**parts), [b"\0\2\0"]), "other bytes than 0 and 1")
    old = tensor_pickle(**parts).replace(b"tQ", b"NtQ")
    refused(legacy(old, [("0", 3, b"\0\2\0")]), "other bytes than 0 and 1")


def test_other_byte_order_is_swapped():
    for dtype, kind in ((np.float32, "Float"), (np.int16, "Short"), (np.float64, "Double")):
        data = np.arange(6, dtype=dtype)
        swapped = data.astype(data.dtype.newbyteorder(">")).tobytes()
        file = archive_of(tensor_pickle(kind=kind), [swapped], byteorder=b"big")
        assert torch.load(file).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(RuntimeError, match="byte order"):
        torch.load(archive_of(tensor_pickle(), [DATA], byteorder=b"middle"))


def test_devices():
    file = archive_of(tensor_pickle(location="cuda:0"), [DATA])
    with pytest.raises(RuntimeError, match=r"map_location=torch.device\('cpu'\)"):
        torch.load(file)
    seen = []
    for location in ("cpu", torch.device("cpu"), {"cuda:0": "cpu"},
                     lambda storage, where: seen.append(where) or storage):
        assert torch.load(file, map_location=location).sum() == 15
    assert seen == ["cuda:0"]
    with pytest.raises(RuntimeError, match="cuda"):
        torch.load(file, map_location="cuda")


# -- the archive -------------------------------------------------------------------------------------------------------

def test_truncated_files_are_errors(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"x": torch.arange(100.0)}, path)
    whole = path.read_bytes()
    for size in {0, 1, 2, 4, len(whole) - 1, *range(0, len(whole), 13)}:
        path.write_bytes(whole[:size])
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            torch.load(path)
    with pytest.raises(EOFError):
        torch.load(io.BytesIO())
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "absent.pt")


def test_every_flipped_bit_of_a_storage_is_found():
    file = io.BytesIO()
    torch.save(torch.zeros(16), file)
    data = bytearray(file.getvalue())
    with zipfile.ZipFile(file) as archive:
        entry = archive.getinfo("archive/data/0")
        start = entry.header_offset + 30 + len(entry.filename) + len(entry.extra)
    assert start % 64 == 0
    data[start + 5] ^= 4
    refused(bytes(data), "damaged")
    torch.serialization.set_crc32_options(False)
    try:
        assert torch.load(io.BytesIO(data)).count_nonzero() == 1
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.serialization.get_crc32_options()


def test_archives_that_are_traps():
    def pack(**options):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", **options) as archive:
            archive.writestr("a/data.pkl", tensor_pickle())
            archive.writestr("a/data/0", DATA)
        out.seek(0)
        return out

    assert torch.load(pack(compression=zipfile.ZIP_DEFLATED)).sum() == 15
    with pytest.raises(RuntimeError, match="unsupported way"):
        torch.load(pack(compression=zipfile.ZIP_BZIP2))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02N." + bytes(30_000_000))
    bomb.seek(0)
    with pytest.raises(RuntimeError, match="claims to grow"):
        torch.load(bomb)
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/data.pkl", b"\x80\x02N.")
        archive.writestr("a/data.pkl", b"\x80\x02K\x01.")
    twice.seek(0)
    with pytest.raises(RuntimeError, match=r"two entries|overlap"):
        torch.load(twice)
    data = bytearray(pack().getvalue())  # both entries of the directory point at the first file
    second = data.rindex(b"PK\1\2")
    data[second + 42:second + 46] = struct.pack("<I", 0)
    with pytest.raises(RuntimeError, match="zip archive"):
        torch.load(io.BytesIO(data))
    with pytest.raises(RuntimeError, match=r"data.pkl"):
        torch.load(io.BytesIO(zipped({"a/x": b""})))
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.load(archive_of(b"\x80\x02N.", **{"constants.pkl": b""}))


def test_older_formats():
    value = b"\x80\x02" + tensor_pickle()[2:].replace(b"tQ", b"NtQ")
    assert torch.load(io.BytesIO(legacy(value, [("0", 6, DATA)]))).sum() == 15
    refused(legacy(value, [("0", 6, DATA[:-1])]), "truncated")
    refused(legacy(value, [("0", 5, DATA)]), "another size")
    refused(legacy(value, [("1", 6, DATA)]), "list of storages")
    refused(legacy(value.replace(b"K\x06", b"M\x00\xff"), [("0", 6, DATA)]), "larger than the file")
    with pytest.raises(RuntimeError, match="tar"):
        torch.load(io.BytesIO(bytes(257) + b"ustar" + bytes(300)))
    refused(pickle.dumps({"a": 1}), "magic number")
    refused(b"hello, this is text", "magic number")


def test_text_of_python_2():
    data = b"\x80\x02U\x02\xc3\xa9."
    assert torch.load(archive_of(data)) == "\xe9" and torch.load(archive_of(data), encoding="bytes") == b"\xc3\xa9"
    assert torch.load(archive_of(data), encoding="latin1") == "\xc3\xa9"
    refused(archive_of(b"\x80\x02U\x01\xff."))


# -- mutations of good files -------------------------------------------------------------------------------------------

def test_the_seeds_of_the_fuzzer_load():
    good = seeds()
    touch(torch.load(io.BytesIO(zipped({f"a/{n}": d for n, d in good["files"].items()}))))
    for kind in ("zip", "legacy", "safetensors"):
        assert torch.load(io.BytesIO(good[kind])), kind


@pytest.mark.skipif(os.name == "nt", reason="needs limits of memory")
def test_damaged_files_give_errors_and_nothing_else():
    done = subprocess.run([sys.executable, "fuzz_files.py", "3000"], cwd=ROOT / "tests", capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0 and "nothing else" in done.stdout, done.stdout + done.stderr
