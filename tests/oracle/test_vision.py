"""minitorch_bn.vision beside torchvision: keys, printed forms and outputs of models, transforms, grids, datasets."""
import random
import warnings

import numpy as np
import pytest
from small_datasets import write_cifar, write_mnist

import minitorch_bn as ours
from minitorch_bn.vision import datasets, models, transforms, utils

torch = pytest.importorskip("torch", reason="PyTorch is the reference")
Image = pytest.importorskip("PIL.Image", reason="torchvision needs Pillow")

from . import bridge  # noqa: E402 -- it imports PyTorch


def import_torchvision():
    """torchvision, also where its compiled half does not fit the PyTorch installed: it then misses two operators."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        try:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:  # it is there
            pass
    return pytest.importorskip("torchvision", reason="torchvision is the reference"), library


torchvision, _library = import_torchvision()
T = torchvision.transforms

BYTES = np.random.default_rng(3).integers(0, 256, (9, 12, 3), dtype=np.uint8)
SMOOTH = np.add.outer(np.arange(40) * 3, np.arange(48) * 2)[..., None] // np.array([1, 2, 3]) % 256
KINDS = {"image": lambda: Image.fromarray(np.uint8(SMOOTH)), "gray image": lambda: Image.fromarray(BYTES[..., 0]),
         "bytes": lambda: torch.tensor(np.uint8(SMOOTH)).permute(2, 0, 1), "one channel": lambda: torch.rand(1, 9, 12),
         "floats": lambda: torch.rand(3, 40, 48), "batch": lambda: torch.rand(2, 3, 12, 16)}


def compare(theirs, mine, tolerance=1e-5):
    if isinstance(theirs, (tuple, list)):
        assert len(theirs) == len(mine)
        for a, b in zip(theirs, mine):
            compare(a, b, tolerance)
        return
    if isinstance(theirs, torch.Tensor):
        assert str(theirs.dtype) == str(mine.dtype)
        theirs, mine = theirs.numpy(), mine.numpy()
    else:
        assert theirs.mode == mine.mode
        theirs, mine = np.asarray(theirs), np.asarray(mine)
    assert theirs.shape == mine.shape
    if theirs.dtype.kind in "iu":
        assert np.abs(theirs.astype(int) - mine.astype(int)).max(initial=0) <= (tolerance > 1e-5)
        assert (theirs != mine).mean() < 0.02
    else:
        np.testing.assert_allclose(mine, theirs, atol=tolerance, rtol=tolerance)


@pytest.fixture
def same_draws(monkeypatch):
    """PyTorch's draws are replaced by ours, each by one of the same kind: equal results then mean an equal order. The
    draws are the same in each run: how many bytes lie so near to a half that rounding decides depends on them."""
    ours.manual_seed(0)
    def fill(name):
        def draw(self, *args):
            args = [float(a) for a in args]
            value = getattr(ours.empty(tuple(self.shape), dtype=bridge.DTYPES[self.dtype]), name)(*args)
            return self.copy_(bridge.to_torch(value))
        return draw
    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(torch.Tensor, name, fill(name))
    monkeypatch.setattr(torch, "rand", lambda *size: bridge.to_torch(ours.rand(*size)))
    monkeypatch.setattr(torch, "randint", lambda low, high, size: bridge.to_torch(ours.randint(low, high, size)))
    monkeypatch.setattr(torch, "randperm", lambda n: bridge.to_torch(ours.randperm(n)))


ANY = ("image", "gray image", "bytes", "one channel", "floats", "batch")
COLOURED = ("image", "bytes", "floats", "batch")
TENSORS = ("one channel", "floats", "batch")
# name, arguments, kinds of image, tolerance; more than 1e-5 lets bytes differ by one as well
TRANSFORMS = [
    ("CenterCrop", (7,), {}, ANY, 0), ("CenterCrop", ((50, 5),), {}, ANY, 0), ("Pad", (2,), {}, ANY, 0),
    ("Pad", ((1, 2),), {"fill": 3}, ANY, 0), ("Pad", ((1, 2, 3, 0),), {"padding_mode": "reflect"}, ANY, 0),
    ("Pad", (3,), {"padding_mode": "edge"}, ANY, 0), ("Pad", (2,), {"padding_mode": "symmetric"}, ANY, 0),
    ("Pad", (1,), {"fill": (9, 8, 7)}, ("image",), 0),
    ("Resize", (6,), {}, ANY, 2e-5), ("Resize", ((20, 30),), {}, ANY, 2e-5), ("Resize", (6, 2), {}, ANY, 2e-5),
    ("Resize", (5, 3, 7), {}, ANY, 2e-5), ("Resize", ((5, 18), 0), {}, ANY, 2e-5),
    ("Resize", (7,), {"antialias": False}, TENSORS, 2e-5), ("Resize", (20, 3), {}, ANY, 2e-5),
    ("RandomCrop", (8,), {"padding": 2}, ANY, 0), ("RandomCrop", ((60, 8),), {"pad_if_needed": True}, ANY, 0),
    ("RandomHorizontalFlip", (), {}, ANY, 0), ("RandomVerticalFlip", (0.6,), {}, ANY, 0),
    ("RandomResizedCrop", (8,), {}, ANY, 2e-5), ("RandomResizedCrop", ((8, 6),), {"ratio": (5, 6)}, ANY, 2e-5),
    ("RandomRotation", (30,), {}, ANY, 0), ("RandomRotation", ((10, 60), 2), {"expand": True}, COLOURED, 1e-4),
    ("RandomRotation", (30,), {"center": (2, 3), "fill": 1}, ANY, 0),
    ("RandomAffine", (20,), {"translate": (0.2, 0.1), "scale": (0.8, 1.3), "shear": 8}, ANY, 0),
    ("RandomAffine", (0,), {"shear": (-5, 5, -3, 3), "interpolation": 2, "fill": 2}, COLOURED, 1e-4),
    ("ColorJitter", (0.4, 0.5, 0.6, 0.2), {}, ANY, 2e-5), ("ColorJitter", (), {"hue": 0.5}, COLOURED, 2e-5),
    ("Grayscale", (), {}, ANY, 2e-5), ("Grayscale", (3,), {}, COLOURED, 2e-5),
    ("RandomGrayscale", (0.5,), {}, ANY, 2e-5), ("RandomInvert", (), {}, ANY, 0), ("GaussianBlur", (5,), {}, ANY, 2e-5),
    ("GaussianBlur", ((3, 5), 1.3), {}, ANY, 2e-5), ("FiveCrop", (5,), {}, ANY, 0), ("TenCrop", (5, True), {}, ANY, 0),
    ("RandomErasing", (0.8,), {}, TENSORS, 0), ("RandomErasing", (1.0,), {"value": "random"}, TENSORS, 0),
    ("RandomErasing", (1.0,), {"value": (1, 2, 3)}, ("floats", "batch"), 0),
    ("Normalize", ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0)), {}, ("floats", "batch"), 1e-6),
    ("PILToTensor", (), {}, ("image", "gray image"), 0), ("ToTensor", (), {}, ("image", "gray image"), 0),
    ("ToPILImage", (), {}, ("bytes", "one channel", "floats"), 0),
]


@pytest.mark.parametrize("name, args, options, kinds, tolerance", TRANSFORMS, ids=lambda v: str(v)[:40])
def test_transform(name, args, options, kinds, tolerance, same_draws):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, mine = getattr(T, name)(*args, **options), getattr(transforms, name)(*args, **options)
    assert repr(theirs) == repr(mine)
    for kind in kinds:
        torch.manual_seed(1)
        image = KINDS[kind]()
        for seed in range(4):
            ours.manual_seed(seed)
            expected = theirs(image)
            state = ours.get_rng_state().tolist()
            ours.manual_seed(seed)
            result = mine(bridge.to_ours(image) if isinstance(image, torch.Tensor) else image)
            assert ours.get_rng_state().tolist() == state, "another number of draws"
            compare(expected, result, tolerance)


def test_composed_repr_and_choice():
    def steps(lib):
        return [lib.Resize(5), lib.ToTensor()]
    for build in (lambda lib: lib.Compose(steps(lib)), lambda lib: lib.RandomApply(steps(lib), 0.2),
                  lambda lib: lib.RandomChoice(steps(lib)), lambda lib: lib.RandomOrder(steps(lib)),
                  lambda lib: lib.Lambda(len)):
        assert repr(build(T)) == repr(build(transforms))
    values = []
    for lib in (T, transforms):
        random.seed(4)
        values.append([lib.RandomChoice([str, repr, len])("a") for _ in range(20)])
    assert values[0] == values[1]


@pytest.mark.parametrize("mode", ["1", "L", "P", "I", "F", "RGB", "RGBA", "CMYK", "YCbCr", "LA", "I;16"])
def test_modes_of_pillow(mode):
    image = Image.fromarray(BYTES)
    image = Image.fromarray(BYTES[..., 0].astype(np.uint16) * 100) if mode == "I;16" else image.convert(mode)
    compare(T.ToTensor()(image), transforms.ToTensor()(image), 0)
    if mode != "I;16":  # we have no uint16
        compare(T.PILToTensor()(image), transforms.PILToTensor()(image), 0)


@pytest.mark.parametrize("dtype, to", [(a, b) for a in ("uint8", "int16", "int32", "float32", "float64")
                                       for b in ("uint8", "int16", "int32", "int64", "float32", "float64")])
def test_conversion(dtype, to):
    x = torch.rand(3, 4) if dtype.startswith("f") else torch.randint(0, 100, (3, 4))
    x = x.to(getattr(torch, dtype))
    try:
        expected = T.ConvertImageDtype(getattr(torch, to))(x)
    except RuntimeError as error:
        with pytest.raises(RuntimeError, match=str(error)):
            transforms.ConvertImageDtype(getattr(ours, to))(bridge.to_ours(x))
    else:
        compare(expected, transforms.ConvertImageDtype(getattr(ours, to))(bridge.to_ours(x)), 1e-6)


@pytest.mark.parametrize("options", [{}, {"nrow": 3, "padding": 0}, {"normalize": True, "pad_value": 0.5},
                                     {"normalize": True, "value_range": (-1.0, 0.5)},
                                     {"normalize": True, "scale_each": True}], ids=str)
@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (11, 1, 3, 3), (1, 3, 4, 4), (3, 4, 4), (1, 4, 4), (4, 5),
                                   (9, 2, 3, 3)])
def test_make_grid(shape, options):
    x = torch.randn(shape)
    compare(torchvision.utils.make_grid(x, **options), utils.make_grid(bridge.to_ours(x), **options), 1e-6)
    if len(shape) == 4:
        listed = utils.make_grid(bridge.to_ours(list(x)), **options)
        compare(torchvision.utils.make_grid(list(x), **options), listed, 1e-6)


def test_save_image(tmp_path):
    x = torch.rand(5, 3, 4, 6)
    for name in ("a.png", "a.bmp"):
        torchvision.utils.save_image(x, tmp_path / f"their_{name}", nrow=2)
        utils.save_image(bridge.to_ours(x), str(tmp_path / name), nrow=2)
        theirs, mine = (np.asarray(Image.open(tmp_path / n)) for n in (f"their_{name}", name))
        np.testing.assert_array_equal(mine, theirs)


def test_datasets_print_and_read_alike(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    folder = write_cifar(tmp_path)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *args: True)
    for name, options in (("MNIST", {"train": False}), ("CIFAR10", {"transform": abs, "target_transform": len}),
                          ("CIFAR10", {"train": False})):
        theirs = getattr(torchvision.datasets, name)(str(tmp_path), **options)
        mine = getattr(datasets, name)(str(tmp_path), **options)
        assert repr(theirs) == repr(mine)
        np.testing.assert_array_equal(np.asarray(theirs.data), np.asarray(mine.data))
        assert list(theirs.targets) == list(mine.targets) and theirs.classes == mine.classes
        assert theirs.class_to_idx == mine.class_to_idx
        if "transform" not in options:
            compare(theirs[1][0], mine[1][0])
    assert folder.exists()


MODELS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
          "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16",
          "vgg16_bn", "vgg19", "vgg19_bn", "mobilenet_v2", "densenet121", "densenet161", "densenet169", "densenet201",
          "alexnet", "squeezenet1_0", "squeezenet1_1"]
COMPUTED = ["resnet18", "resnext50_32x4d", "mobilenet_v2", "densenet121", "squeezenet1_0", "squeezenet1_1"]




@pytest.mark.parametrize("name", MODELS)
def test_model_is_torchvisions(name, monkeypatch):
    """Keys, shapes, order and printed form of all; output and gradients of some, with the weights copied."""
    if name not in COMPUTED:  # their weights need not be drawn
        for module in (torch.nn.init, ours.nn.init):
            for function in ("kaiming_normal_", "kaiming_uniform_", "uniform_", "normal_"):
                monkeypatch.setattr(module, function, lambda tensor, *args, **options: tensor)
    theirs, mine = (getattr(lib, name)(num_classes=7) for lib in (torchvision.models, models))
    assert repr(theirs) == repr(mine)
    state = theirs.state_dict()
    assert [(key, tuple(value.shape)) for key, value in state.items()] == [
        (key, tuple(value.shape)) for key, value in mine.state_dict().items()]
    if name not in COMPUTED:
        return
    mine.load_state_dict(bridge.to_ours(dict(state)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a team that waits for a busy processor is slower than one thread
    x = torch.randn(4, 3, 40, 40, dtype=torch.float64)
    for model in (theirs, mine):
        model.double().train()  # in float32 the statistics of so small a batch would amplify rounding too much
        for module in model.modules():
            if isinstance(module, (torch.nn.Dropout, ours.nn.Dropout)):
                module.p = 0.0
    a, b = theirs(x), mine(bridge.to_ours(x))
    np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-6, atol=1e-9)
    a.square().mean().backward()
    torch.set_num_threads(threads)
    b.square().mean().backward()
    scale = max(p.grad.abs().max().item() for p in theirs.parameters())
    for (key, p), q in zip(theirs.named_parameters(), mine.parameters()):
        np.testing.assert_allclose(q.grad.numpy() / scale, p.grad.numpy() / scale, atol=1e-6, err_msg=key)


BLOCKS = {
    "Conv2dNormActivation": [((3, 4), {}), ((3, 4, 5, 2), {"norm_layer": None}), ((3, 3, (3, 5)), {"groups": 3}),
                             ((3, 4), {"activation_layer": None, "dilation": 2, "inplace": None})],
    "Conv3dNormActivation": [((3, 4), {}), ((3, 4, 1), {"bias": True})],
    "SqueezeExcitation": [((3, 2), {})], "MLP": [((5, [4, 3]), {}), ((5, [4, 3]), {"dropout": 0.5, "inplace": True})],
    "Permute": [(([0, 2, 3, 1],), {})], "FrozenBatchNorm2d": [((3,), {})], "StochasticDepth": [((0.3, "row"), {})],
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name):
    for args, options in BLOCKS[name]:
        theirs, mine = (getattr(lib.ops, name)(*args, **options).eval() for lib in (torchvision, ours.vision))
        assert repr(theirs) == repr(mine)
        mine.load_state_dict(bridge.to_ours(dict(theirs.state_dict())))
        x = torch.randn({"Conv3dNormActivation": (2, 3, 5, 5, 5), "MLP": (4, 5)}.get(name, (2, 3, 6, 6)))
        compare(theirs(x).detach(), mine(bridge.to_ours(x)).detach(), 1e-5)


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_stochastic_depth(mode, p, monkeypatch):
    x = torch.randn(6, 2, 3)
    monkeypatch.setattr(torch.Tensor, "bernoulli_", lambda self, q: self.copy_(
        bridge.to_torch(ours.empty(tuple(self.shape)).bernoulli_(q))))
    ours.manual_seed(3)
    expected = torchvision.ops.stochastic_depth(x, p, mode)
    ours.manual_seed(3)
    compare(expected, ours.vision.ops.stochastic_depth(bridge.to_ours(x), p, mode), 1e-6)
    for bad in ((1.5, mode), (p, "column")):
        with pytest.raises(ValueError):
            ours.vision.ops.stochastic_depth(bridge.to_ours(x), *bad)


def test_second_version():
    from minitorch_bn.vision.transforms import v2
    reference = pytest.importorskip("torchvision.transforms.v2")
    image = Image.fromarray(BYTES)
    for build in (lambda lib, dtype: lib.Compose([lib.ToImage(), lib.ToDtype(dtype, scale=True)]),
                  lambda lib, dtype: lib.Compose([lib.ToImage(), lib.ToDtype(dtype), lib.CenterCrop(4)])):
        theirs, mine = build(reference, torch.float32), build(v2, ours.float32)
        for sample in (image, BYTES, BYTES[..., 0]):
            compare(torch.as_tensor(theirs(sample)), mine(sample), 1e-6)


def test_files_of_images(tmp_path):
    x = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    for mode in ("RGB", "GRAY", "RGB_ALPHA", "UNCHANGED"):
        ours.vision.io.write_png(bridge.to_ours(x), tmp_path / "a.png")
        pixels = np.asarray(Image.open(tmp_path / "a.png"))
        np.testing.assert_array_equal(pixels, x.permute(1, 2, 0).numpy())
        read = ours.vision.io.read_image(str(tmp_path / "a.png"), getattr(ours.vision.io.ImageReadMode, mode))
        assert read.shape == ({"GRAY": 1, "RGB_ALPHA": 4}.get(mode, 3), 5, 7)
        if mode != "GRAY":
            np.testing.assert_array_equal(read.numpy()[:3], x.numpy())
    with pytest.raises(ValueError):
        ours.vision.io.encode_png(ours.zeros(3, 4, 5))
