"""The safetensors format: what goes in comes out, all damage is an error; and the cache of downloads."""

import hashlib
import io
import os
import struct

import pytest

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.utils import model_zoo

DTYPES = list(torch._core.DTYPES.values())


def tensors_file(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


GOOD = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


def test_safetensors_round_trip(tmp_path):
    tensors = {str(dtype): (torch.arange(6) % 2).to(dtype).view(2, 3) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(2.0), "empty": torch.empty(0, 3), "ü": torch.ones(1)}
    path = tmp_path / "x.safetensors"
    torch.safetensors.save_file(tensors, path, {"by": "test"})
    for loaded in (torch.safetensors.load_file(path), torch.load(path), torch.safetensors.load(path.read_bytes()),
                   torch.load(io.BytesIO(path.read_bytes()))):
        assert loaded.keys() == tensors.keys()
        assert all(torch.equal(x, loaded[k]) and x.dtype is loaded[k].dtype for k, x in tensors.items())
    with torch.safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"by": "test"} and file.keys() == sorted(tensors)
        part = file.get_slice("torch.float32")
        assert part.get_shape() == [2, 3] and part.get_dtype() == "F32"
        assert torch.equal(part[:, 1], tensors["torch.int8"][:, 1].float())
        with pytest.raises(RuntimeError, match="does not contain"):
            file.get_tensor("nothing")
    assert torch.safetensors.load(torch.safetensors.save({})) == {}
    assert struct.unpack_from("<Q", path.read_bytes())[0] % 8 == 0


@pytest.mark.parametrize("data", [
    b"", b"\x01", tensors_file(GOOD, bytes(7)), tensors_file(GOOD, bytes(9)), tensors_file(GOOD, bytes(8), 1 << 40),
    tensors_file(GOOD, bytes(8), 10), tensors_file(GOOD, bytes(8), 0), tensors_file("[]"), tensors_file("{"),
    tensors_file(b"{\xff}"), tensors_file('{"a":3}'), tensors_file("{" + '"a":[' * 100_000),
    tensors_file(GOOD.replace("F32", "F64"), bytes(8)), tensors_file(GOOD.replace("F32", "C64"), bytes(8)),
    tensors_file(GOOD.replace("[2]", "[3]"), bytes(8)), tensors_file(GOOD.replace("[2]", "[-2]"), bytes(8)),
    tensors_file(GOOD.replace("[2]", "[2.0]"), bytes(8)), tensors_file(GOOD.replace("[2]", "[true,2]"), bytes(8)),
    tensors_file(GOOD.replace("[2]", "2"), bytes(8)), tensors_file(GOOD.replace("[0,8]", "[8,0]"), bytes(8)),
    tensors_file(GOOD.replace("[0,8]", "[1,9]"), bytes(9)), tensors_file(GOOD.replace("[0,8]", "[0]"), bytes(8)),
    tensors_file(GOOD[:-1] + "," + GOOD[1:], bytes(8)),
    tensors_file(GOOD[:-1] + ',"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}', bytes(12)),
    tensors_file(GOOD[:-1] + ',"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}', bytes(16)),
    tensors_file(GOOD[:-1] + ',"__metadata__":{"a":1}}', bytes(8)),
    tensors_file(GOOD[:-1] + ',"__metadata__":[]}', bytes(8)),
    tensors_file(GOOD.replace('"shape"', '"extra":1,"shape"'), bytes(8)),
    tensors_file(GOOD.replace("[2]", "[NaN]"), bytes(8)),
    tensors_file(GOOD.replace("[2]", "[" + "9" * 5000 + "]"), bytes(8)),
    tensors_file(GOOD.replace("[2]", "[" + "1," * 20 + "2]"), bytes(8)),
    tensors_file('{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}', b"\x00\x07"),
], ids=range(32))
def test_damaged_safetensors(data):
    with pytest.raises(torch.safetensors.SafetensorError):
        torch.safetensors.load(data)


def test_what_safetensors_cannot_hold(tmp_path):
    x = torch.ones(2, 3)
    for tensors, error in (({"x": x.t()}, ValueError), ({"x": x, "y": x[0]}, RuntimeError), ({"x": 3}, ValueError),
                           ([x], ValueError), ({3: x}, ValueError)):
        with pytest.raises(error):
            torch.safetensors.save(tensors)
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    torch.safetensors.save_model(tied, tmp_path / "m.safetensors")
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    assert torch.safetensors.load_model(other, tmp_path / "m.safetensors") == ([], [])
    assert torch.equal(other[1].weight, tied[0].weight) and torch.equal(other[1].bias, tied[1].bias)


def test_hub(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    source = tmp_path / "m.pt"
    torch.save({"x": torch.arange(3)}, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    good, bad = (tmp_path / f"m-{value[:8]}.pt" for value in (digest, "0123abcd"))
    for copy in (good, bad):
        copy.write_bytes(source.read_bytes())
    assert torch.hub.load_state_dict_from_url(good.as_uri(), check_hash=True)["x"].tolist() == [0, 1, 2]
    assert "Downloading" in capsys.readouterr().err
    good.unlink()  # the second time it comes from the cache
    assert model_zoo.load_url(good.as_uri())["x"].tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="invalid hash value"):
        torch.hub.load_state_dict_from_url(bad.as_uri(), check_hash=True, progress=False)
    assert os.listdir(tmp_path / "home" / "hub" / "checkpoints") == [good.name]
    with pytest.raises(ValueError, match="http"):
        torch.hub.load_state_dict_from_url("ftp://example.org/a.pt", progress=False)
    torch.hub.set_dir(tmp_path / "other")
    try:
        assert torch.hub.get_dir() == str(tmp_path / "other")
    finally:
        torch.hub._directory = None
    with pytest.raises(NotImplementedError, match="runs code"):
        torch.hub.load("a/b", "c")
