"""Saving and loading: what goes in comes out, no file is ever run, every damage is an error, and saving is atomic."""

import argparse
import collections
import enum
import gzip
import io
import os
import pathlib
import pickle
import random
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import fuzz_files
import numpy as np
import pytest
from errors import refused

import minitorch_bn as torch
from minitorch_bn import nn

ROOT = Path(__file__).resolve().parent.parent
DTYPES = list(torch._core.DTYPES.values())


def through(value, **options):
    """`value` after it was saved and loaded."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


# -- what goes in comes out --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3, 4)], ids=str)
def test_tensors_of_every_dtype(dtype, shape):
    x = (torch.arange(24)[:int(np.prod(shape))].reshape(shape) % 5).to(dtype)
    y = through(x)
    assert y.dtype is dtype and y.shape == x.shape and torch.equal(x, y) and y._base is None and y.is_leaf


def test_strides_and_shared_memory_are_kept():
    base = torch.arange(12.0)
    saved = {"t": base.view(3, 4).t(), "row": base[4:8], "step": base[::3], "wide": base[:1].expand(1000)}
    loaded = through(saved)
    for name, x in saved.items():
        assert torch.equal(x, loaded[name]) and x.stride() == loaded[name].stride()
    loaded["row"][0] = 100
    assert loaded["t"][0, 1] == 100 and base[4] == 4
    same = torch.ones(2)
    a, b = through([same, same])
    assert a is b


def test_parameters_and_requires_grad_are_kept():
    w = nn.Parameter(torch.ones(2, 3))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    x = torch.ones(2, requires_grad=True)
    w2, f2, x2, y2 = through([w, frozen, x, (x * 2)])
    assert type(w2) is nn.Parameter and w2.requires_grad and type(f2) is nn.Parameter and not f2.requires_grad
    assert type(x2) is torch.Tensor and x2.requires_grad and y2.requires_grad and y2.is_leaf


def test_attributes_of_tensors_are_kept():
    x, w = torch.ones(2), nn.Parameter(torch.ones(3))
    x.note, w.tag = "here", [1, 2]
    x2, w2 = through([x, w])
    assert x2.note == "here" and w2.tag == [1, 2] and type(w2) is nn.Parameter


PLAIN = [None, True, False, 0, 255, 256, 65535, 65536, -1, -(1 << 31), 1 << 31, 1 << 200, -(1 << 3000), 0.1, -0.0,
         1e308, "", "text", "ü\ud800", b"", b"\x00\xff", bytearray(b"ab"), 2 - 1j, (), (1,), (1, 2), (1, 2, 3),
         (1, 2, 3, 4),
         [], [1, [2, [3]]], {}, {"a": {1: (2,)}}, {1, 2}, frozenset({"a"}), torch.float16, torch.Size([2, 3]),
         torch.device("cpu"), torch.device("cuda:1"), collections.Counter("aab"),
         collections.OrderedDict([(1, 2), (0, 3)]), collections.defaultdict(list, {"a": [1]}),
         collections.defaultdict(None, {1: 2}), collections.deque([1, 2], 5),
         list(range(1000))]


@pytest.mark.parametrize("value", PLAIN, ids=lambda v: repr(v)[:30].encode("ascii", "replace").decode())
def test_plain_data(value):
    back = through(value)
    assert type(back) is type(value) and back == value and repr(back) == repr(value)
    assert getattr(back, "default_factory", 0) == getattr(value, "default_factory", 0)


def test_structure_is_kept():
    inner = [1]
    cycle = [inner, inner]
    cycle.append(cycle)
    ring = {}
    ring["me"] = (ring, 1)
    a, b = through([cycle, ring])
    assert a[0] is a[1] and a[2] is a and b["me"][0] is b
    knot = ([],)
    knot[0].append(knot)
    c = through(knot)
    assert c[0][0] is c
    state = nn.BatchNorm1d(2).state_dict()
    assert through(state)._metadata == state._metadata


@pytest.mark.parametrize("value", [np.float64(0.1), np.int16(-3), np.bool_(True), np.arange(6.0).reshape(2, 3).T,
                                   np.zeros((0, 2), np.int32), np.array(["a", "bc"]), np.dtype("f4"), np.array(3)],
                         ids=repr)
def test_numpy(value):
    back = through({"x": value})["x"]
    assert type(back) is type(value) and getattr(back, "dtype", None) == getattr(value, "dtype", None)
    assert back == value if isinstance(value, np.dtype) else np.array_equal(back, value)
    with pytest.raises(pickle.PicklingError):
        through(np.array([object()]))


def test_checkpoint_continues_training_exactly(tmp_path):
    def make():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
        optimizer = torch.optim.Adam(model.parameters(), 0.1)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2)

    def train(parts, steps):
        model, optimizer, scheduler = parts
        x = torch.arange(40.0).view(10, 4) / 40
        for _ in range(steps):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
            scheduler.step()

    straight, first, second = make(), make(), make()
    train(straight, 6)
    train(first, 3)
    torch.save({"epoch": 3, **{str(i): part.state_dict() for i, part in enumerate(first)}}, tmp_path / "c.pt")
    loaded = torch.load(tmp_path / "c.pt")
    for i, part in enumerate(second):
        part.load_state_dict(loaded[str(i)])
    train(second, 3)
    assert all(torch.equal(a, b) for a, b in zip(straight[0].state_dict().values(), second[0].state_dict().values()))


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        torch.save({"x": torch.arange(5)}, tmp_path / name / "m.pt")
    assert (tmp_path / "a" / "m.pt").read_bytes() == (tmp_path / "b" / "m.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "a" / "m.pt") as archive:
        assert archive.testzip() is None and archive.namelist()[0] == "m/data.pkl"


# -- classes -----------------------------------------------------------------------------------------------------------

class Settings:
    """Its code must not run when a file is read."""

    def __init__(self, rate):
        self.rate = rate
        self.made_by_init = True
        RAN.append("init")

    def __setattr__(self, name, value):
        RAN.append("setattr")
        object.__setattr__(self, name, value)


class Slotted:
    __slots__ = ("a",)


class Restored:
    def __setstate__(self, state):
        RAN.append("setstate")


class Hashing:
    def __hash__(self):
        RAN.append("hash")
        return 1


class Color(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")
RAN = []


class Named(dict):
    pass


def test_classes_need_permission():
    settings = Settings(0.5)
    with pytest.raises(pickle.PicklingError, match="add_safe_globals"):
        through(settings)
    point, slotted, named = Point(1, torch.ones(2)), Slotted(), Named(a=1)
    slotted.a, named.note = 7, "n"
    classes = [Settings, Point, Slotted, Color, Named]
    file = io.BytesIO()
    with torch.serialization.safe_globals(classes):
        torch.save([settings, point, slotted, Color.RED, named], file)
        RAN.clear()
        file.seek(0)
        s, p, sl, color, n = torch.load(file)
    assert not RAN and s.__dict__ == settings.__dict__ and type(s) is Settings
    assert type(p) is Point and p.x == 1 and sl.a == 7 and color is Color.RED and type(n) is Named and n.note == "n"
    assert torch.serialization.get_safe_globals() == []
    names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    assert names == [f"{__name__}.{cls.__name__}" for cls in sorted(classes, key=lambda cls: cls.__name__)]
    file.seek(0)
    refused(file, "Settings.*add_safe_globals")
    file.seek(0)
    refused(file, "Settings", weights_only=False)


def test_code_of_allowed_classes_does_not_run():
    with torch.serialization.safe_globals([Restored, os.getcwd, (Settings, "other.Name")]):
        state = pickle.dumps(Restored(), 2)[:-1] + b"}X\x01\x00\x00\x00aK\x01sb."
        refused(fuzz_files.archive_of(state), "__setstate__")
        refused(fuzz_files.archive_of(b"\x80\x02cposix\ngetcwd\n)R."), "calls no function")
        assert type(torch.load(fuzz_files.archive_of(b"\x80\x02cother\nName\n)\x81."))) is Settings
    with torch.serialization.safe_globals([Hashing, Color]):
        file = io.BytesIO()
        torch.save({Hashing(): 1}, file)
        RAN.clear()
        refused(file.getvalue(), "hash of its own")
        assert through({Color.RED: 1, (1, "a"): 2}) == {Color.RED: 1, (1, "a"): 2}
    assert not {"setstate", "hash"} & {*RAN}
    with pytest.raises(ValueError, match="pair"):
        torch.serialization.add_safe_globals([(Settings,)])


def test_a_permission_can_be_given_for_good():
    torch.serialization.add_safe_globals([Point])
    try:
        assert through(Point(1, 2)) == Point(1, 2)
    finally:
        torch.serialization.clear_safe_globals()
    assert torch.serialization.get_safe_globals() == []


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        RAN.append("init")
        self.body, self.activation = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.functional.gelu

    def forward(self, x):
        return self.activation(self.body(x))


def test_whole_modules():
    model, x, file = Net(), torch.ones(1, 2), io.BytesIO()
    torch.save(model, file)  # the names of the classes; reading decides about them
    refused(file.getvalue(), r"Net.*state_dict")
    RAN.clear()
    file.seek(0)
    back = torch.load(file, weights_only=False)  # classes that the script has: filled, not run
    assert not RAN and isinstance(back.body[0].weight, nn.Parameter) and torch.equal(back(x), model(x))
    assert list(back.state_dict()) == list(model.state_dict())
    refused(fuzz_files.archive_of(b"\x80\x02cnever_imported\nNet\n)\x81."), "Net", weights_only=False)
    with torch.serialization.safe_globals([nn.Sequential, nn.Linear, nn.ReLU]):
        assert torch.equal(through(model.body)(x), model.body(x))


def test_no_function_that_a_file_names_is_called():
    for code in (b"cos\ngetcwd\n)R.", b"ctorch.nn.functional\ngelu\n(K\x01tR.", b"cminitorch_bn\nsave\n)R.",
                 b"ctest_serialization\nNet\nK\x01\x85R.", b"cminitorch_bn.nn.functional\nrelu\n)R."):
        refused(fuzz_files.archive_of(b"\x80\x02" + code), ".", weights_only=False)


def test_plain_classes_without_weights_only():
    value = {"args": argparse.Namespace(lr=0.1, sizes=[1]), "path": pathlib.PurePosixPath("a/b")}
    assert through(value, weights_only=False) == value
    file = io.BytesIO()
    torch.save(value, file)
    refused(file.getvalue(), "Namespace")


# -- files -------------------------------------------------------------------------------------------------------------

def test_kinds_of_files(tmp_path):
    x = torch.arange(3)

    class Sink:
        data = b""

        def write(self, part):
            self.data += part

    class OneWay(io.BytesIO):
        def seek(self, *args):
            raise OSError("cannot seek")

        def seekable(self):
            return False

    pipe = OneWay()
    torch.save(x, pipe)
    assert torch.equal(torch.load(OneWay(pipe.getvalue())), x)
    with gzip.open(tmp_path / "a.pt.gz", "wb") as file:
        torch.save(x, file)
    with gzip.open(tmp_path / "a.pt.gz", "rb") as file:
        assert torch.equal(torch.load(file), x)
    with open(tmp_path / "text", "w+") as file:
        file.write("text")
        file.seek(0)
        with pytest.raises(TypeError, match="binary"):
            torch.load(file)
    sink = Sink()
    torch.save(x, sink)
    assert torch.equal(torch.load(io.BytesIO(sink.data)), x)
    with open(tmp_path / "open.pt", "wb") as file:
        torch.save(x, file)
    with open(tmp_path / "open.pt", "rb") as file:
        assert torch.equal(torch.load(file), x)
    torch.save(x, str(tmp_path / "name.pt"))
    assert torch.equal(torch.load(str(tmp_path / "name.pt")), x)
    for wrong in (3, None):
        with pytest.raises(AttributeError):
            torch.save(x, wrong)
        with pytest.raises(AttributeError):
            torch.load(wrong)
    with pytest.raises(RuntimeError, match="pickle_module"):
        torch.load(io.BytesIO(sink.data), pickle_module=pickle)
    assert torch.equal(torch.load(io.BytesIO(sink.data), pickle_module=pickle, weights_only=False), x)


def test_mapped_files(tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"x": torch.arange(1000.0), "e": torch.empty(0), "w": nn.Parameter(torch.ones(3))}, path)
    before = path.read_bytes()
    loaded = torch.load(path, mmap=True)
    assert torch.equal(loaded["x"], torch.arange(1000.0)) and loaded["w"].requires_grad
    loaded["x"][0] = 5
    loaded["w"].data.zero_()
    assert loaded["x"][0] == 5 and path.read_bytes() == before
    with pytest.raises(ValueError, match="string filename"):
        torch.load(io.BytesIO(before), mmap=True)


def test_different_dtypes_of_one_memory_are_refused():
    x = torch.zeros(4)
    with pytest.raises(RuntimeError, match="different types"):
        through([x, x.view(torch.int32)])


# -- atomic ------------------------------------------------------------------------------------------------------------

def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(torch.ones(3), path)
    before = path.read_bytes()
    with pytest.raises(pickle.PicklingError):
        torch.save({"x": torch.zeros(3), "bad": object()}, path)
    with pytest.raises(ValueError):
        torch.safetensors.save_file({"x": torch.zeros(3), "bad": 3}, path)

    class Broken(torch.Tensor):
        def untyped_storage(self):
            raise KeyError("broken")

    with pytest.raises(KeyError):
        torch.save({"x": torch.zeros(3), "bad": torch.Tensor._make_subclass(Broken, torch.ones(2))}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.pt"]


def test_a_disk_that_is_full(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with pytest.raises(OSError):
        torch.save(torch.ones(100_000), "/dev/full")
    torch.save(torch.ones(3), "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    code = ("import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))\nimport minitorch_bn as torch\n"
            "try:\n    torch.save(torch.zeros(100_000), sys.argv[1])\nexcept OSError:\n    print('refused')")
    path = tmp_path / "a.pt"
    torch.save(torch.ones(5), path)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT / "tests")
    assert done.stdout == "refused\n", done.stderr
    assert torch.load(path).sum() == 5 and os.listdir(tmp_path) == ["a.pt"]


@pytest.mark.skipif(os.name == "nt", reason="kills a process")
def test_a_killed_save_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"x": torch.zeros(200_000)}, path)
    code = ("import sys, minitorch_bn as torch\nprint('ready', flush=True)\n"
            "for i in range(10**6):\n    torch.save({'x': torch.full((200_000,), float(i))}, sys.argv[1])")
    choose = random.Random(0)
    for _ in range(8):
        child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=ROOT / "tests")
        child.stdout.readline()
        time.sleep(choose.random() * 0.05)
        child.kill()
        child.wait()
        child.stdout.close()
        x = torch.load(path)["x"]
        assert x.shape == (200_000,) and x.min() == x.max()


def test_permissions_links_and_folders(tmp_path):
    old = os.umask(0o027)
    try:
        torch.save(torch.ones(1), tmp_path / "a.pt")
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(tmp_path / "a.pt").st_mode) == 0o640
    (tmp_path / "link.pt").symlink_to("a.pt")
    torch.save(torch.zeros(2), tmp_path / "link.pt")
    assert (tmp_path / "link.pt").is_symlink() and torch.load(tmp_path / "a.pt").shape == (2,)
    with pytest.raises(RuntimeError, match=r"Parent directory .* does not exist"):
        torch.save(torch.ones(1), tmp_path / "no" / "a.pt")
    with pytest.raises(IsADirectoryError):
        torch.save(torch.ones(1), tmp_path)


def test_saving_is_loaded_when_it_is_used(tmp_path):
    code = ("import sys, minitorch_bn as torch\n"
            "assert not {'zipfile', 'pickle', 'minitorch_bn.serialization'} & {*sys.modules}\n"
            "torch.save(torch.ones(2), sys.argv[1])\nassert torch.load(sys.argv[1]).sum() == 2\n"
            "assert 'numpy' not in sys.modules")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.pt")], cwd=ROOT / "tests", check=True)
