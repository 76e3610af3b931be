"""Tensors print exactly as they do in PyTorch; the expected texts below were printed by PyTorch 2.13."""

import importlib.util
import math
import random
import re

import pytest

import minitorch_bn as torch

CASES = [
    ("torch.tensor(1.0)", "tensor(1.)"),
    ("torch.tensor(-2)", "tensor(-2)"),
    ("torch.tensor(True)", "tensor(True)"),
    ("torch.tensor(1.5, requires_grad=True)", "tensor(1.5000, requires_grad=True)"),
    ("torch.tensor([1.0, 2.0, 3.0])", "tensor([1., 2., 3.])"),
    ("torch.tensor([1.0, 2.5, -3.125])", "tensor([ 1.0000,  2.5000, -3.1250])"),
    ("torch.tensor([0.0, -0.0])", "tensor([0., -0.])"),
    ("torch.tensor([1, -20, 300])", "tensor([  1, -20, 300])"),
    ("torch.tensor([True, False])", "tensor([ True, False])"),
    (
        "torch.tensor([[True, False], [False, True]])",
        ("tensor([[ True, False],\n        [False,  True]])"),
    ),
    ("torch.tensor([1, 2], dtype=torch.uint8)", "tensor([1, 2], dtype=torch.uint8)"),
    ("torch.tensor([-128, 127], dtype=torch.int8)", "tensor([-128,  127], dtype=torch.int8)"),
    ("torch.tensor([1, 2], dtype=torch.int16)", "tensor([1, 2], dtype=torch.int16)"),
    ("torch.tensor([1, 2], dtype=torch.int32)", "tensor([1, 2], dtype=torch.int32)"),
    ("torch.tensor([1.5, 2.0], dtype=torch.float64)", "tensor([1.5000, 2.0000], dtype=torch.float64)"),
    ("torch.tensor([1.5, 2.0], dtype=torch.float16)", "tensor([1.5000, 2.0000], dtype=torch.float16)"),
    ("torch.tensor([0.1, 3.0], dtype=torch.bfloat16)", "tensor([0.1001, 3.0000], dtype=torch.bfloat16)"),
    ("torch.tensor([])", "tensor([])"),
    ("torch.tensor([], dtype=torch.int64)", "tensor([], dtype=torch.int64)"),
    ("torch.zeros(0, 3)", "tensor([], size=(0, 3))"),
    ("torch.zeros(2, 0, 3, dtype=torch.float64)", "tensor([], size=(2, 0, 3), dtype=torch.float64)"),
    ("torch.tensor([math.nan, math.inf, -math.inf])", "tensor([nan, inf, -inf])"),
    ("torch.tensor([1.0, math.nan, -math.inf])", "tensor([1., nan, -inf])"),
    ("torch.tensor([1.5, math.nan, -math.inf])", "tensor([1.5000,    nan,   -inf])"),
    ("torch.tensor([1e-5, 1.0])", "tensor([1.0000e-05, 1.0000e+00])"),
    ("torch.tensor([1e-4, 0.05])", "tensor([1.0000e-04, 5.0000e-02])"),
    ("torch.tensor([1e-6, 2e-6])", "tensor([1.0000e-06, 2.0000e-06])"),
    ("torch.tensor([1.0, 1001.0])", "tensor([1.0000e+00, 1.0010e+03])"),
    ("torch.tensor([1.0, 1000.0])", "tensor([   1., 1000.])"),
    ("torch.tensor([0.5, 501.0])", "tensor([5.0000e-01, 5.0100e+02])"),
    ("torch.tensor([1e9, 2e9])", "tensor([1.0000e+09, 2.0000e+09])"),
    ("torch.tensor([1e8, 5e7])", "tensor([100000000.,  50000000.])"),
    ("torch.tensor([-1e-30, 1e30, 0.0])", "tensor([-1.0000e-30,  1.0000e+30,  0.0000e+00])"),
    (
        "torch.tensor([1e300, -1e-300, math.nan], dtype=torch.float64)",
        "tensor([ 1.0000e+300, -1.0000e-300,          nan], dtype=torch.float64)",
    ),
    (
        "torch.tensor([[1.0, -2.0], [3.0, 4.5]])",
        ("tensor([[ 1.0000, -2.0000],\n        [ 3.0000,  4.5000]])"),
    ),
    (
        "torch.tensor([[1], [-10]])",
        ("tensor([[  1],\n        [-10]])"),
    ),
    (
        "torch.zeros(2, 2, 2)",
        ("tensor([[[0., 0.],\n         [0., 0.]],\n\n        [[0., 0.],\n         [0., 0.]]])"),
    ),
    (
        "torch.zeros(1, 2, 1, 2)",
        ("tensor([[[[0., 0.]],\n\n         [[0., 0.]]]])"),
    ),
    (
        "torch.arange(30)",
        (
            "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
            "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"
        ),
    ),
    (
        "torch.arange(24.0).reshape(2, 12) / 7",
        (
            "tensor([[0.0000, 0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000, 1.1429,\n"
            "         1.2857, 1.4286, 1.5714],\n"
            "        [1.7143, 1.8571, 2.0000, 2.1429, 2.2857, 2.4286, 2.5714, 2.7143, 2.8571,\n"
            "         3.0000, 3.1429, 3.2857]])"
        ),
    ),
    ("torch.arange(1001)", "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        "torch.arange(1000.0).reshape(1000, 1)[990:]",
        (
            "tensor([[990.],\n"
            "        [991.],\n"
            "        [992.],\n"
            "        [993.],\n"
            "        [994.],\n"
            "        [995.],\n"
            "        [996.],\n"
            "        [997.],\n"
            "        [998.],\n"
            "        [999.]])"
        ),
    ),
    (
        "torch.arange(10000.0).reshape(100, 100)",
        (
            "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.7000e+01, 9.8000e+01,\n"
            "         9.9000e+01],\n"
            "        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.9700e+02, 1.9800e+02,\n"
            "         1.9900e+02],\n"
            "        [2.0000e+02, 2.0100e+02, 2.0200e+02,  ..., 2.9700e+02, 2.9800e+02,\n"
            "         2.9900e+02],\n"
            "        ...,\n"
            "        [9.7000e+03, 9.7010e+03, 9.7020e+03,  ..., 9.7970e+03, 9.7980e+03,\n"
            "         9.7990e+03],\n"
            "        [9.8000e+03, 9.8010e+03, 9.8020e+03,  ..., 9.8970e+03, 9.8980e+03,\n"
            "         9.8990e+03],\n"
            "        [9.9000e+03, 9.9010e+03, 9.9020e+03,  ..., 9.9970e+03, 9.9980e+03,\n"
            "         9.9990e+03]])"
        ),
    ),
    (
        "torch.arange(2000, dtype=torch.int32).reshape(2, 1000)",
        (
            "tensor([[   0,    1,    2,  ...,  997,  998,  999],\n"
            "        [1000, 1001, 1002,  ..., 1997, 1998, 1999]], dtype=torch.int32)"
        ),
    ),
    (
        "torch.arange(2400).reshape(4, 20, 30)",
        (
            "tensor([[[   0,    1,    2,  ...,   27,   28,   29],\n"
            "         [  30,   31,   32,  ...,   57,   58,   59],\n"
            "         [  60,   61,   62,  ...,   87,   88,   89],\n"
            "         ...,\n"
            "         [ 510,  511,  512,  ...,  537,  538,  539],\n"
            "         [ 540,  541,  542,  ...,  567,  568,  569],\n"
            "         [ 570,  571,  572,  ...,  597,  598,  599]],\n"
            "\n"
            "        [[ 600,  601,  602,  ...,  627,  628,  629],\n"
            "         [ 630,  631,  632,  ...,  657,  658,  659],\n"
            "         [ 660,  661,  662,  ...,  687,  688,  689],\n"
            "         ...,\n"
            "         [1110, 1111, 1112,  ..., 1137, 1138, 1139],\n"
            "         [1140, 1141, 1142,  ..., 1167, 1168, 1169],\n"
            "         [1170, 1171, 1172,  ..., 1197, 1198, 1199]],\n"
            "\n"
            "        [[1200, 1201, 1202,  ..., 1227, 1228, 1229],\n"
            "         [1230, 1231, 1232,  ..., 1257, 1258, 1259],\n"
            "         [1260, 1261, 1262,  ..., 1287, 1288, 1289],\n"
            "         ...,\n"
            "         [1710, 1711, 1712,  ..., 1737, 1738, 1739],\n"
            "         [1740, 1741, 1742,  ..., 1767, 1768, 1769],\n"
            "         [1770, 1771, 1772,  ..., 1797, 1798, 1799]],\n"
            "\n"
            "        [[1800, 1801, 1802,  ..., 1827, 1828, 1829],\n"
            "         [1830, 1831, 1832,  ..., 1857, 1858, 1859],\n"
            "         [1860, 1861, 1862,  ..., 1887, 1888, 1889],\n"
            "         ...,\n"
            "         [2310, 2311, 2312,  ..., 2337, 2338, 2339],\n"
            "         [2340, 2341, 2342,  ..., 2367, 2368, 2369],\n"
            "         [2370, 2371, 2372,  ..., 2397, 2398, 2399]]])"
        ),
    ),
    (
        "torch.ones(2, 2, requires_grad=True)",
        ("tensor([[1., 1.],\n        [1., 1.]], requires_grad=True)"),
    ),
    ("torch.ones(2, requires_grad=True) + 1", "tensor([2., 2.], grad_fn=<AddBackward0>)"),
    ("torch.ones(2, requires_grad=True) * 3", "tensor([3., 3.], grad_fn=<MulBackward0>)"),
    ("torch.ones(2, 2, requires_grad=True).sum()", "tensor(4., grad_fn=<SumBackward0>)"),
    (
        "torch.ones(12, requires_grad=True) * 1.5",
        (
            "tensor([1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000,\n"
            "        1.5000, 1.5000, 1.5000], grad_fn=<MulBackward0>)"
        ),
    ),
    (
        "torch.ones(2, dtype=torch.float64, requires_grad=True)",
        "tensor([1., 1.], dtype=torch.float64, requires_grad=True)",
    ),
    ("torch.ones(2, requires_grad=True).detach()", "tensor([1., 1.])"),
    (
        "torch.arange(6).reshape(2, 3).t()",
        ("tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"),
    ),
]


@pytest.fixture(autouse=True)
def default_options():
    yield
    torch.set_printoptions(profile="default")


@pytest.mark.parametrize(("expression", "expected"), CASES, ids=[case[0] for case in CASES])
def test_text(expression, expected):
    t = eval(expression, {"torch": torch, "math": math})
    assert repr(t) == expected
    assert str(t) == expected


NODES = """F.mse_loss(p, q)=MseLoss F.mse_loss(p, q, reduction="sum")=MseLoss
F.binary_cross_entropy(p, q)=BinaryCrossEntropy F.smooth_l1_loss(p, q)=SmoothL1Loss F.huber_loss(p, q)=HuberLoss
F.cross_entropy(p, t)=NllLoss p.sum()=Sum p**3=Pow
F.binary_cross_entropy_with_logits(p, q)=BinaryCrossEntropyWithLogits F.l1_loss(p, q)=Mean p.softmax(0)=Softmax p**2=Pow
p.t()=T p.transpose(0, 1)=Transpose p.T=Permute p.masked_fill(p > 0, 0)=MaskedFill p.sort()[0]=Sort p.topk(1)[0]=Topk
torch.mv(p, p[0])=Mv p[0].dot(p[1])=Dot p.median()=Median""".replace("\n", " ")


@pytest.mark.parametrize(("expression", "name"), re.findall(r"(\S.*?)=(\w+)(?= |$)", NODES))
def test_an_operation_goes_by_pytorchs_name(expression, name):
    p = torch.tensor([[0.2, 0.7], [0.5, 0.1]], requires_grad=True)
    space = {"torch": torch, "F": torch.nn.functional, "p": p, "q": torch.full((2, 2), 0.5), "t": torch.tensor([0, 1])}
    assert repr(eval(expression, space)).endswith(f"grad_fn=<{name}Backward0>)")


def test_pairs_print_as_in_pytorch():
    x = torch.tensor([2, 1])
    assert repr(x.sort()) == "torch.return_types.sort(\nvalues=tensor([1, 2]),\nindices=tensor([1, 0]))"
    assert repr(x.topk(1)) == "torch.return_types.topk(\nvalues=tensor([2]),\nindices=tensor([0]))"
    y = torch.tensor([[1.0, 3.0]], requires_grad=True)
    assert [z.grad_fn.name() for z in (y.sum(0), y.mean(1), y.max(), y.max(1)[0])] == [
        "SumBackward1", "MeanBackward1", "MaxBackward1", "MaxBackward0"]


def test_precision_and_scientific():
    t = torch.tensor([1.0, 0.123456789])
    torch.set_printoptions(precision=2)
    assert repr(t) == "tensor([1.00, 0.12])"
    torch.set_printoptions(sci_mode=True)
    assert repr(t) == "tensor([1.00e+00, 1.23e-01])"
    torch.set_printoptions(sci_mode=False, precision=4)
    assert repr(torch.tensor([1e-8, 1.0])) == "tensor([0.0000, 1.0000])"
    torch.set_printoptions(profile="default")
    assert repr(torch.tensor([1e-8, 1.0])) == "tensor([1.0000e-08, 1.0000e+00])"


def test_threshold_edgeitems_linewidth():
    torch.set_printoptions(threshold=5, edgeitems=1)
    assert repr(torch.arange(6)) == "tensor([0,  ..., 5])"
    assert repr(torch.arange(5)) == "tensor([0, 1, 2, 3, 4])"
    torch.set_printoptions(edgeitems=0)
    assert repr(torch.arange(6)) == "tensor([...], size=(6,))"
    torch.set_printoptions(profile="default", linewidth=20)
    assert repr(torch.arange(6)) == "tensor([0, 1, 2, 3,\n        4, 5])"
    torch.set_printoptions(profile="full")
    assert "..." not in repr(torch.zeros(2000))
    torch.set_printoptions(profile="short")
    assert repr(torch.tensor([0.5])) == "tensor([0.50])"


def test_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert repr(torch.tensor([0.5])) == "tensor([0.5000])"
        assert repr(torch.tensor([0.5], dtype=torch.float32)) == "tensor([0.5000], dtype=torch.float32)"
    finally:
        torch.set_default_dtype(torch.float32)


def test_bad_options_change_nothing():
    with pytest.raises(ValueError, match="unknown profile 'huge'"):
        torch.set_printoptions(profile="huge")
    with pytest.raises(ValueError, match="edgeitems must not be negative"):
        torch.set_printoptions(precision=1, edgeitems=-1)
    assert repr(torch.tensor([0.5])) == "tensor([0.5000])"


def test_printing_leaves_the_tensor_alone():
    t = torch.ones(40, 40, requires_grad=True)
    repr(t)
    assert t.grad is None and t.grad_fn is None and t.is_leaf and t._version == 0


FLOATS = [
    lambda r: r.gauss(0, 1),
    lambda r: r.gauss(0, 1e4),
    lambda r: r.gauss(0, 1e-5),
    lambda r: math.exp(r.gauss(0, 6)),
    lambda r: float(round(r.gauss(0, 30))),
    lambda r: float(round(r.gauss(0, 1e9))),
    lambda r: r.choice([0.0, -0.0, math.nan, math.inf, -math.inf, 1.0, 0.25]),
]
SHAPES = [(), (1,), (9,), (50,), (1100,), (0, 3), (3, 7), (40, 40), (2, 3, 4), (7, 9, 20), (1, 2, 1, 2), (1001, 1)]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="compares with PyTorch, which is not installed")
@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
)
def test_same_as_pytorch(dtype):
    import torch as oracle

    r = random.Random(dtype)
    for shape in SHAPES:
        for draw in FLOATS if "float" in dtype else [None]:
            for options in ({}, {"threshold": 20, "edgeitems": 2, "linewidth": 60, "precision": 3}):
                count = math.prod(shape)
                if draw is not None:
                    values = [draw(r) for _ in range(count)]
                else:
                    top = {"bool": 1, "uint8": 255, "int8": 127}.get(dtype, 30000)
                    values = [r.randint(0 if dtype in ("bool", "uint8") else -top, top) for _ in range(count)]
                texts = []
                for t in (torch, oracle):
                    t.set_printoptions(profile="default")
                    t.set_printoptions(**options)
                    texts.append(repr(t.tensor(values, dtype=t.float64).to(getattr(t, dtype)).reshape(shape)))
                oracle.set_printoptions(profile="default")
                assert texts[0] == texts[1]
