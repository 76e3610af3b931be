"""The stand-in for torchvision, on small files that the tests write: datasets, transforms, grids and models."""
import gzip
import pickle
import random
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_datasets import IMAGES, LABELS, PIXELS, idx, write_cifar, write_mnist

import minitorch_bn as torch
from minitorch_bn.vision import datasets, models, transforms, utils
from minitorch_bn.vision.transforms import functional as F


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_files(tmp_path, name, compress):
    write_mnist(tmp_path, name, compress=compress)
    data = getattr(datasets, name)(tmp_path, train=False, transform=transforms.ToTensor(), download=True)
    assert len(data) == 7
    image, label = data[3]
    assert label == 3 and type(label) is int
    np.testing.assert_array_equal(image.numpy()[0], np.float32(IMAGES[3]) / np.float32(255))
    assert data.data.dtype == torch.uint8 and data.targets.dtype == torch.int64
    assert len(data.classes) == 10 and list(data.class_to_idx.values()) == list(range(10))
    head, *_, last = repr(data).splitlines()
    assert head == f"Dataset {name}" and last == "Transform: ToTensor()"
    assert "    Split: Test" in repr(data)


def test_target_transform_and_loader(tmp_path):
    write_mnist(tmp_path)
    data = datasets.MNIST(str(tmp_path), transform=transforms.ToTensor(), target_transform=lambda t: t + 100)
    images, labels = next(iter(torch.utils.data.DataLoader(data, batch_size=7)))
    assert images.shape == (7, 1, 28, 28) and labels.tolist() == list(range(100, 107))


def test_emnist(tmp_path):
    write_mnist(tmp_path, "EMNIST", ("emnist-letters-train",))
    data = datasets.EMNIST(tmp_path, "letters", train=True)
    assert len(data) == 7 and data.classes[:2] == ["N/A", "a"] and len(data.classes) == 27
    with pytest.raises(ValueError, match="Unknown value 'words'"):
        datasets.EMNIST(tmp_path, "words")
    with pytest.raises(RuntimeError, match="emnist-letters-test-images-idx3-ubyte"):
        datasets.EMNIST(tmp_path, "letters", train=False, download=True)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"Dataset not found.*MNIST.raw: train-images-idx3-ubyte\[.gz\]"):
        datasets.MNIST(tmp_path)
    with pytest.raises(RuntimeError, match=r"cifar-10-batches-py: test_batch, batches.meta"):
        datasets.CIFAR10(tmp_path, train=False)


def test_download_reports_every_address(tmp_path, monkeypatch):
    import urllib.request
    asked = []

    def refuse(url, timeout):
        asked.append(url)
        raise OSError("no network here")
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(RuntimeError, match=r"no network here.*It can be put by hand at .*train-images"):
        datasets.MNIST(tmp_path, download=True)
    assert len(asked) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_download_checks_and_keeps(tmp_path, monkeypatch):
    import hashlib
    import io
    import urllib.request
    files = {f"{part}-{kind}-ubyte.gz": gzip.compress(idx(content)) for part in ("train", "t10k")
             for kind, content in (("images-idx3", IMAGES), ("labels-idx1", LABELS))}
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(files[url.rsplit("/", 1)[1]]))
    with pytest.raises(RuntimeError, match="is not the expected one"):
        datasets.MNIST(tmp_path, download=True)

    class Mine(datasets.MNIST):
        resources = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    assert len(Mine(tmp_path, download=True)) == 7
    assert len(list((tmp_path / "Mine" / "raw").iterdir())) == 4


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx_dtypes(tmp_path, dtype):
    array = np.random.default_rng(1).integers(0, 100, (3, 4, 2)).astype(dtype)
    (tmp_path / "a").write_bytes(idx(array))
    read = datasets.mnist.read_idx(tmp_path / "a")
    np.testing.assert_array_equal(read.numpy(), array)
    assert read.numpy().dtype == array.dtype


@given(st.integers(0, 600), st.integers(0, 255), st.integers(0, 600))
def test_damaged_idx_files_are_errors(tmp_path_factory, at, value, cut):
    data = bytearray(idx(IMAGES[:, :8, :8]))
    if at < len(data):
        data[at] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data[:max(len(data) - cut, 0)])
    try:
        datasets.mnist.read_idx(path)
    except ValueError:
        pass


# -- CIFAR -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("hundred", [False, True])
def test_cifar(tmp_path, hundred):
    folder = write_cifar(tmp_path, hundred)
    kind = datasets.CIFAR100 if hundred else datasets.CIFAR10
    train, test = kind(tmp_path, transform=transforms.ToTensor(), download=True), kind(tmp_path, train=False)
    assert len(train) == (2 if hundred else 10) and len(test) == 2
    assert train.targets == ([0, 1] if hundred else [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]) and test.targets == [3, 4]
    np.testing.assert_array_equal(test.data, PIXELS[10:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    image, label = train[1]
    assert label == 1
    np.testing.assert_array_equal(image.numpy(), np.float32(PIXELS[1].reshape(3, 32, 32)) / np.float32(255))
    assert train.classes[2] == "kind 2" and train.class_to_idx["kind 2"] == 2
    assert pickle.loads((folder / ("train" if hundred else "data_batch_1")).read_bytes(), encoding="latin1")


def test_cifar_binary(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "test_batch.bin").write_bytes(b"".join(bytes([i]) + PIXELS[i].tobytes() for i in range(3)))
    (folder / "batches.meta.txt").write_text("cat\ndog\n\n")
    data = datasets.CIFAR10(tmp_path, train=False)
    assert data.targets == [0, 1, 2] and data.classes == ["cat", "dog"]
    np.testing.assert_array_equal(data.data[2], PIXELS[2].reshape(3, 32, 32).transpose(1, 2, 0))
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    (folder / "train.bin").write_bytes(bytes([9, 77]) + PIXELS[0].tobytes())
    (folder / "fine_label_names.txt").write_text("cat\ndog\n")
    assert datasets.CIFAR100(tmp_path).targets == [77]
    (folder / "train.bin").write_bytes(b"123")
    with pytest.raises(ValueError, match="no whole number of records"):
        datasets.CIFAR100(tmp_path)


class Evil:
    """Would set a mark if it were unpickled."""
    done = []

    def __reduce__(self):
        return Evil.done.append, (1,)


@pytest.mark.parametrize("content", [pickle.dumps(Evil()), pickle.dumps({"data": Evil(), "labels": [1]}),
                                     pickle.dumps([1, 2]), pickle.dumps({"data": PIXELS[:, :5], "labels": [1] * 12}),
                                     b"", b"\x80\x02", pickle.dumps({"data": PIXELS})[:-40]])
def test_no_pickle_is_executed(tmp_path, content):
    folder = write_cifar(tmp_path)
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(ValueError):
        datasets.CIFAR10(tmp_path, train=False)
    assert not Evil.done


# -- folders and invented data ---------------------------------------------------------------------------------------


def test_image_folder(tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason="needs Pillow")
    for name, shade in (("cat", 10), ("ant", 200)):
        (tmp_path / name / "deep").mkdir(parents=True)
        image_module.new("L", (4, 3), shade).save(tmp_path / name / "deep" / "b.PNG")
        (tmp_path / name / "notes.txt").write_text("no image")
    data = datasets.ImageFolder(str(tmp_path), transform=transforms.PILToTensor())
    assert data.classes == ["ant", "cat"] and data.targets == [0, 1] and data.imgs == data.samples
    image, target = data[1]
    assert target == 1 and image.shape == (3, 3, 4) and bool((image == 10).all())
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="Found no valid file for the classes empty"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 2
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        datasets.ImageFolder(tmp_path / "empty")


def test_dataset_folder(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text(name * 3)
    data = datasets.DatasetFolder(tmp_path, loader=lambda path: Path(path).read_text(), extensions=(".txt",))
    assert list(data) == [("aaa", 0), ("bbb", 1)]
    picked = datasets.DatasetFolder(tmp_path, str, is_valid_file=lambda path: path.endswith("1.txt"))
    assert [Path(path).parent.name for path, _ in picked] == ["a", "b"]
    with pytest.raises(ValueError, match="Both extensions and is_valid_file"):
        datasets.DatasetFolder(tmp_path, str)


def test_fake_data():
    before = torch.get_rng_state().tolist()
    data = datasets.FakeData(size=3, image_size=(3, 5, 4), transform=transforms.ToTensor())
    (image, label), (again, same) = data[1], data[1]
    assert torch.get_rng_state().tolist() == before
    assert image.shape == (3, 5, 4) and bool((image == again).all()) and label == same and 0 <= label < 10
    with pytest.raises(IndexError):
        data[3]


def test_only_one_way_of_transforming():
    with pytest.raises(ValueError, match="Only transforms or transform/target_transform"):
        datasets.VisionDataset("x", transforms=lambda a, b: (a, b), transform=lambda a: a)


# -- transforms ------------------------------------------------------------------------------------------------------


def test_pipeline_without_pillow(tmp_path, monkeypatch):
    """Where Pillow is absent, images are arrays, and the usual pipeline gives the same numbers."""
    write_cifar(tmp_path)
    steps = transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(),
                                transforms.ToTensor(), transforms.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))])

    def sample():
        torch.manual_seed(3)
        return datasets.CIFAR10(tmp_path, train=False, transform=steps)[0][0].numpy()
    usual = sample()
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.Image", raising=False)
    data = datasets.CIFAR10(tmp_path, train=False)
    assert isinstance(data[0][0], np.ndarray)
    np.testing.assert_array_equal(sample(), usual)
    with pytest.raises(ImportError, match="needs Pillow"):
        transforms.ToPILImage()(torch.zeros(3, 2, 2))
    for other in (transforms.Resize(16), transforms.Grayscale(), transforms.ColorJitter(0.1, 0.1, 0.1, 0.1),
                  transforms.CenterCrop(40), transforms.Pad(2, padding_mode="reflect"), transforms.RandomRotation(30)):
        assert transforms.ToTensor()(other(data[0][0])).dim() == 3


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("padding", [2, (1, 3), (1, 2, 3, 0), (-1, 2, 0, 1)])
def test_pad_is_numpys(mode, padding):
    image = torch.arange(2 * 5 * 6).reshape(2, 5, 6)
    left, top, right, bottom = [padding] * 4 if isinstance(padding, int) else padding * (4 // len(padding))
    inner = image.numpy()[:, max(-top, 0):, max(-left, 0):]
    expected = np.pad(inner, [(0, 0), (max(top, 0), bottom), (max(left, 0), right)], mode)
    np.testing.assert_array_equal(F.pad(image, padding, padding_mode=mode).numpy(), expected)


def test_crop_beyond_the_image():
    image = torch.arange(12.0).reshape(1, 3, 4) + 1
    out = F.crop(image, -1, 2, 5, 4)
    assert out.shape == (1, 5, 4)
    assert out[0].tolist() == [[0, 0, 0, 0], [3, 4, 0, 0], [7, 8, 0, 0], [11, 12, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(F.center_crop(image, 2).numpy(), image.numpy()[:, 0:2, 1:3])


def test_rotation_by_quarters():
    image = torch.arange(3.0 * 8 * 8).reshape(3, 8, 8)
    for quarter in (1, 2, 3):
        np.testing.assert_array_equal(F.rotate(image, 90 * quarter).numpy(), np.rot90(image.numpy(), quarter, (1, 2)))
    assert F.rotate(torch.zeros(1, 4, 6), 90, expand=True).shape == (1, 6, 4)
    moved = F.affine(image, 0, [2, 1], 1.0, 0.0).numpy()
    np.testing.assert_array_equal(moved[:, 1:, 2:], image.numpy()[:, :-1, :-2])


def test_colours():
    image = torch.rand(3, 6, 7)
    np.testing.assert_allclose(F.adjust_hue(image, 0.0).numpy(), image.numpy(), atol=1e-6)
    np.testing.assert_allclose(F.adjust_hue(F.adjust_hue(image, 0.3), -0.3).numpy(), image.numpy(), atol=1e-5)
    np.testing.assert_allclose(F.adjust_hue(image, 1 / 3).numpy(), image.numpy()[[2, 0, 1]], atol=1e-5)
    np.testing.assert_allclose(F.adjust_brightness(image, 0.5).numpy(), image.numpy() / 2)
    np.testing.assert_allclose(F.adjust_saturation(image, 0.0).numpy(),
                               np.repeat(F.rgb_to_grayscale(image).numpy(), 3, 0), rtol=1e-6)
    assert F.adjust_contrast(image, 0.0).std().item() < 1e-6
    assert F.gaussian_blur(torch.ones(3, 9, 9), 5).sub(1).abs().max().item() < 1e-6
    for change in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        with pytest.raises(ValueError, match="is not non-negative"):
            change(image, -1)
    with pytest.raises(ValueError, match=r"is not in \[-0.5, 0.5\]"):
        F.adjust_hue(image, 0.6)


def test_convert_image_dtype():
    byte = torch.arange(256).to(torch.uint8)
    assert F.convert_image_dtype(F.convert_image_dtype(byte), torch.uint8).tolist() == byte.tolist()
    assert F.convert_image_dtype(byte, torch.int16).max().item() == 255 * 128
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(torch.rand(2), torch.int64)


def test_random_choices(monkeypatch):
    random.seed(1)
    pick = transforms.RandomChoice([lambda x: x + 1, lambda x: x + 10], p=[0.0, 1.0])
    assert pick(0) == 10
    assert sorted(transforms.RandomOrder([lambda x: [*x, 1], lambda x: [*x, 2]])([])) == [1, 2]
    assert transforms.RandomApply([lambda x: x + 1], p=1.0)(0) == 1
    assert transforms.RandomApply([lambda x: x + 1], p=0.0)(0) == 0
    assert repr(transforms.RandomApply([transforms.ToTensor()], p=0.3)) == (
        "RandomApply(\n    p=0.3\n    ToTensor()\n)")


def test_bad_arguments():
    image = torch.rand(3, 4, 4)
    cases = [(ValueError, lambda: transforms.RandomCrop(5)(image)), (ValueError, lambda: F.pad(image, [1, 2, 3])),
             (ValueError, lambda: F.pad(image, 1, 0, "wrap")), (TypeError, lambda: F.hflip("image")),
             (TypeError, lambda: F.to_tensor(image)), (ValueError, lambda: F.normalize(image, [0], [0])),
             (TypeError, lambda: F.normalize(torch.ones(3, 4, 4, dtype=torch.int64), [0], [1])),
             (ValueError, lambda: F.gaussian_blur(image, 4)), (ValueError, lambda: F.resize(image, [1, 2, 3])),
             (TypeError, lambda: F.resize(image, 2, "linear")), (ValueError, lambda: transforms.RandomErasing(p=2)),
             (TypeError, lambda: F.adjust_hue(image[:2], 0.1)), (ValueError, lambda: transforms.ColorJitter(hue=0.7)),
             (TypeError, lambda: transforms.Lambda(3))]
    for error, act in cases:
        with pytest.raises(error):
            act()


# -- grids and files -------------------------------------------------------------------------------------------------


def png_pixels(data):
    """What a PNG file with filter 0 in each row shows."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        size, = struct.unpack(">I", data[at:at + 4])
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0] == zlib.crc32(kind + content)
        chunks[kind] = content
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, -1)


def test_save_image(tmp_path):
    images = torch.rand(5, 3, 4, 6)
    utils.save_image(images, tmp_path / "grid.png", nrow=3, padding=1)
    grid = utils.make_grid(images, nrow=3, padding=1)
    expected = grid.mul(255).add(0.5).clamp(0, 255).permute(1, 2, 0).to(torch.uint8)
    assert expected.shape == (2 * 5 + 1, 3 * 7 + 1, 3)
    pixels = png_pixels((tmp_path / "grid.png").read_bytes())
    np.testing.assert_array_equal(pixels, expected.numpy())
    image_module = pytest.importorskip("PIL.Image", reason="needs Pillow")
    np.testing.assert_array_equal(np.asarray(image_module.open(tmp_path / "grid.png")), expected.numpy())


def test_make_grid_rejects_what_is_no_tensor():
    with pytest.raises(TypeError, match="tensor or list of tensors expected"):
        utils.make_grid([1, 2])
    assert utils.make_grid(torch.zeros(4, 4)).shape == (3, 4, 4)


# -- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1", "densenet121"])
def test_models_train(name):
    model = models.get_model(name, num_classes=4)
    x = torch.rand(2, 3, 64, 64)
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor([1, 3]))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.eval()(x).shape == (2, 4)


def test_weights_are_refused_clearly():
    for ask in (lambda: models.resnet18(weights=models.ResNet18_Weights.DEFAULT), lambda: models.resnet18(True),
                lambda: models.resnet18(pretrained=True), lambda: models.resnet18(weights="IMAGENET1K_V1")):
        with pytest.raises(ValueError, match=r"resnet18: the weights .* are not bundled"):
            ask()
    assert isinstance(models.resnet18(False, num_classes=2), models.ResNet)
    with pytest.raises(ValueError, match="Unknown model resnet19"):
        models.get_model("resnet19")


def test_model_arguments():
    last = models.resnet18(zero_init_residual=True, num_classes=3).layer1[0].bn2.weight
    assert not bool(last.any())
    wide = models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True])
    assert wide.conv1(torch.rand(1, 3, 32, 32)).shape == (1, 64, 16, 16)
    assert wide.layer4[0].conv2.dilation == (2, 2)
    normed = models.resnet18(norm_layer=lambda c: torch.nn.GroupNorm(4, c))
    assert isinstance(normed.bn1, torch.nn.GroupNorm)
    with pytest.raises(ValueError, match="BasicBlock only supports"):
        models.resnet.BasicBlock(4, 4, groups=2)
