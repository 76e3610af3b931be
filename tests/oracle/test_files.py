"""Files between the two libraries: what one saves, the other loads, PyTorch under weights_only=True."""

import collections
import io
import warnings
from unittest.mock import patch

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference")

import minitorch_bn as ours  # noqa: E402

from .bridge import DTYPES  # noqa: E402


def theirs(file_or_path, **options):
    return torch.load(file_or_path, weights_only=True, **options)


def to_torch(value, **options):
    file = io.BytesIO()
    ours.save(value, file)
    file.seek(0)
    return theirs(file, **options)


def to_ours(value, legacy=False, **options):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    file.seek(0)
    return ours.load(file, **options)


def same(mine, other):
    """Whether two structures hold the same: types, keys in order, tensors with dtype, strides and values."""
    if isinstance(other, torch.Tensor):
        assert isinstance(mine, ours.Tensor) and mine.dtype is DTYPES[other.dtype] and mine.shape == other.shape
        assert mine.stride() == other.stride() and mine.requires_grad == other.requires_grad
        assert mine.storage_offset() == other.storage_offset()
        assert isinstance(mine, ours.nn.Parameter) == isinstance(other, torch.nn.Parameter)
        assert mine.detach().double().tolist() == other.detach().double().tolist()
    elif isinstance(other, dict):
        assert type(mine) is type(other) and list(mine) == list(other)
        for key in other:
            same(mine[key], other[key])
        if hasattr(other, "_metadata"):
            assert mine._metadata == other._metadata
    elif isinstance(other, (list, tuple)) and not isinstance(other, torch.Size):
        assert type(mine) is type(other) and len(mine) == len(other)
        for a, b in zip(mine, other):
            same(a, b)
    elif isinstance(other, torch.dtype):
        assert mine is DTYPES[other]
    elif isinstance(other, (torch.Size, torch.device)):
        assert type(mine).__name__ == type(other).__name__ and str(mine) == str(other)
    else:
        assert type(mine) is type(other) and mine == other


def sample(lib):
    """Everything that weights_only=True allows, made by one of the libraries."""
    base = lib.arange(24.0).view(4, 6)
    extra = lib.ones(2)
    extra.note = "kept"
    w = lib.nn.Parameter(lib.ones(2, 2))
    w.tag = [1]
    values = {str(name).rpartition(".")[2]: (lib.arange(6) % 3).to(getattr(lib, str(name).rpartition(".")[2]))
              for name in DTYPES}
    return {**values, "view": base[1:3, ::2], "t": base.t(), "all": base, "scalar": lib.tensor(2.5),
            "empty": lib.empty(0, 3), "wide": base[0, :1].expand(50), "parameter": w, "extra": extra,
            "frozen": lib.nn.Parameter(lib.ones(1), requires_grad=False), "leaf": lib.ones(2, requires_grad=True),
            "plain": [1, -300, 1 << 40, 1 << 90, 2.5, None, True, "ü", b"\xff\x00", bytearray(b"a"), 1j, (),
                      (1, (2, 3, 4, 5))],
            "set": {1}, "counter": collections.Counter("aab"), "ordered": collections.OrderedDict(b=1, a=2),
            "size": base.shape, "dtype": lib.bfloat16, "device": lib.device("cpu"), "other": lib.device("cuda:1")}


def test_everything_from_ours_to_torch():
    made = to_torch(sample(ours))
    same(to_ours(made), sample(torch))
    assert made["t"].untyped_storage().data_ptr() == made["view"].untyped_storage().data_ptr()
    assert made["extra"].note == "kept" and made["parameter"].tag == [1]
    same(sample(ours), made)


@pytest.mark.parametrize("legacy", [False, True])
def test_everything_from_torch_to_ours(legacy):
    loaded = to_ours(sample(torch), legacy)
    same(loaded, sample(torch))
    assert loaded["t"].untyped_storage() is loaded["view"].untyped_storage() or \
        loaded["t"].untyped_storage().data_ptr() == loaded["view"].untyped_storage().data_ptr()
    assert loaded["extra"].note == "kept" and loaded["parameter"].tag == [1]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_protocols(protocol, zipped):
    file = io.BytesIO()
    torch.save(sample(torch), file, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    same(ours.load(file), sample(torch))


def test_numpy_values():
    value = {"a": np.float64(2.5), "b": np.arange(6).reshape(2, 3), "c": np.float32(1),
             "d": np.arange(6.0).reshape(2, 3).T}
    loaded = to_ours(value)
    file = io.BytesIO()
    ours.save(value, file)
    file.seek(0)
    back = torch.load(file, weights_only=False)
    for key, x in value.items():
        for y in (loaded[key], back[key]):
            assert type(y) is type(x) and y.dtype == x.dtype and np.array_equal(x, y)


def test_options_of_both(tmp_path):
    torch.save(sample(torch), tmp_path / "t.pt")
    same(ours.load(tmp_path / "t.pt", mmap=True), sample(torch))
    ours.save(sample(ours), tmp_path / "o.pt")
    same(sample(ours), theirs(tmp_path / "o.pt", mmap=True))
    big = io.BytesIO()
    with patch("sys.byteorder", "big"):
        torch.save(torch.zeros(3), big)
    assert b"big" in big.getvalue()
    big.seek(0)
    assert ours.load(big).tolist() == [0, 0, 0]


def test_checksums_may_be_missing():
    torch.serialization.set_crc32_options(False)
    try:
        file = io.BytesIO()
        torch.save(torch.arange(3), file)
    finally:
        torch.serialization.set_crc32_options(True)
    ours.serialization.set_crc32_options(False)
    try:
        file.seek(0)
        assert ours.load(file).tolist() == [0, 1, 2]
    finally:
        ours.serialization.set_crc32_options(True)


OPTIMIZERS = {"SGD": {"lr": 0.1, "momentum": 0.9}, "Adam": {"lr": 0.1, "amsgrad": True}, "AdamW": {},
              "RMSprop": {"momentum": 0.1}, "Adagrad": {}, "Adadelta": {}}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_checkpoints_continue_in_the_other_library(name):
    def make(lib):
        model = lib.nn.Sequential(lib.nn.Linear(3, 4, bias=False), lib.nn.BatchNorm1d(4), lib.nn.Tanh(),
                                  lib.nn.Linear(4, 1)).double()
        optimizer = getattr(lib.optim, name)(model.parameters(), **OPTIMIZERS[name])
        return model, optimizer, lib.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

    def train(lib, parts, steps):
        model, optimizer, scheduler = parts
        x = lib.arange(30, dtype=lib.float64).view(10, 3) / 30
        for _ in range(steps):
            optimizer.zero_grad()
            (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
            optimizer.step()
            scheduler.step()

    def states(parts):
        return dict(zip(("model", "optimizer", "scheduler"), (part.state_dict() for part in parts)), epoch=3)

    def restore(parts, checkpoint):
        assert checkpoint["epoch"] == 3
        for part, key in zip(parts, ("model", "optimizer", "scheduler")):
            part.load_state_dict(checkpoint[key])

    torch.manual_seed(0)
    reference, mine = make(torch), make(ours)
    train(torch, reference, 3)
    restore(mine, to_ours(states(reference)))
    again = make(torch)
    restore(again, to_torch(states(mine)))
    for lib, parts in ((torch, reference), (ours, mine), (torch, again)):
        train(lib, parts, 3)
    for other in (mine, again):
        for a, b in zip(reference[0].state_dict().values(), other[0].state_dict().values()):
            assert np.allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-9)


def resnet18():
    """torchvision's, whose compiled part need not fit."""
    with warnings.catch_warnings(), patch("torch.library.register_fake", lambda *a, **k: lambda f: f):
        warnings.simplefilter("ignore")
        models = pytest.importorskip("torchvision.models")
    return models.resnet18(num_classes=10)


def test_resnet18(tmp_path):
    state = resnet18().state_dict()
    torch.save(state, tmp_path / "t.pt")
    mine = ours.load(tmp_path / "t.pt")
    assert len(mine) == 122 and list(mine) == list(state)
    ours.save(mine, tmp_path / "o.pt")
    ours.safetensors.save_file(dict(mine), tmp_path / "o.safetensors", {"format": "pt"})
    back = theirs(tmp_path / "o.pt")
    assert back._metadata == state._metadata
    again = ours.safetensors.load_file(tmp_path / "o.safetensors")
    for name, x in state.items():
        assert torch.equal(x, back[name]) and x.dtype == back[name].dtype and x.stride() == back[name].stride()
        assert again[name].numpy().tobytes() == x.numpy().tobytes()
    resnet18().load_state_dict(back)


def test_safetensors_of_the_package(tmp_path):
    package = pytest.importorskip("safetensors.torch")
    tensors = {name.rpartition(".")[2]: (torch.arange(6) % 2).to(dtype).view(2, 3)
               for name, dtype in ((str(d), d) for d in DTYPES)}
    tensors |= {"s": torch.tensor(1.5), "e": torch.empty(0, 2)}
    package.save_file(tensors, tmp_path / "p.safetensors", {"a": "b"})
    mine = ours.safetensors.load_file(tmp_path / "p.safetensors")
    ours.safetensors.save_file(mine, tmp_path / "o.safetensors", {"a": "b"})
    back = package.load_file(tmp_path / "o.safetensors")
    assert set(back) == set(tensors)
    for name, x in tensors.items():
        same(mine[name], x)
        assert torch.equal(back[name], x) and back[name].dtype == x.dtype
    same(ours.load(tmp_path / "p.safetensors")["s"], tensors["s"])
    from safetensors import safe_open
    with safe_open(tmp_path / "o.safetensors", "pt") as file:
        assert file.metadata() == {"a": "b"}


def test_whole_models_of_torch_are_refused():
    with pytest.raises(Exception, match=r"torch.nn.modules.linear.Linear.*state_dict"):
        to_ours(torch.nn.Linear(2, 2))
    with ours.serialization.safe_globals([ours.nn.Linear]):
        model = to_ours(torch.nn.Linear(2, 2))
    assert isinstance(model, ours.nn.Linear) and model(ours.ones(1, 2)).shape == (1, 2)


@pytest.mark.filterwarnings("ignore")
def test_other_kinds_of_tensors_are_refused():
    for x in (torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.uint16), torch.eye(2).to_sparse(),
              torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)):
        with pytest.raises(Exception, match=r"not supported|Weights only load failed") as caught:
            to_ours(x)
        assert type(caught.value).__name__ == "UnpicklingError"
