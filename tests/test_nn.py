"""Layers and losses: against PyTorch where it is installed (values, gradients, printed form, keys, errors), and the
behavior of modules, containers, hooks and initialization by themselves."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import minitorch_bn as mt
import minitorch_bn.nn.functional as F
from minitorch_bn import nn


def real(*shape, low=-2.0, high=2.0):
    return ("real", shape, low, high)


def index(*shape, below):
    return ("index", shape, 0, below)


def signs(*shape):
    return ("signs", shape, 0, 0)


def _array(spec, rng):
    kind, shape, low, high = spec
    if kind == "index":
        return rng.integers(low, high, shape)
    if kind == "signs":
        return rng.integers(0, 2, shape) * 2.0 - 1.0
    return rng.uniform(low, high, shape)


# Every layer: how it is made, and what it is called with.
LAYERS = [
    ("Identity(1, a=2)", [real(2, 3)]),
    ("Linear(3, 4)", [real(5, 3)]),
    ("Linear(3, 4, bias=False)", [real(3)]),
    ("Bilinear(3, 2, 4)", [real(5, 3), real(5, 2)]),
    ("Flatten()", [real(2, 3, 4)]),
    ("Unflatten(1, (2, 3))", [real(2, 6)]),
    ("Conv1d(4, 6, 3, padding=1, groups=2)", [real(2, 4, 7)]),
    ("Conv1d(4, 6, 3, padding='same', dilation=2)", [real(4, 7)]),
    ("Conv2d(3, 4, 3)", [real(2, 3, 6, 5)]),
    ("Conv2d(3, 4, (3, 2), stride=2, padding=(1, 0), dilation=2, bias=False)", [real(2, 3, 8, 7)]),
    ("Conv2d(3, 4, (3, 4), padding='same', padding_mode='reflect')", [real(2, 3, 6, 5)]),
    ("Conv2d(3, 4, 3, padding='valid', padding_mode='circular')", [real(2, 3, 6, 5)]),
    ("Conv2d(3, 4, 3, padding=1, padding_mode='replicate')", [real(2, 3, 6, 5)]),
    ("Conv3d(2, 3, 2, stride=(1, 2, 1))", [real(2, 2, 3, 4, 5)]),
    ("ConvTranspose1d(4, 6, 3, stride=2, groups=2)", [real(2, 4, 7)]),
    ("ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)", [real(2, 3, 4, 5)]),
    ("ConvTranspose2d(3, 4, 3, dilation=2, bias=False)", [real(2, 3, 4, 5)]),
    ("ConvTranspose3d(2, 3, 2)", [real(2, 2, 2, 3, 2)]),
    ("MaxPool1d(2)", [real(2, 3, 7)]),
    ("MaxPool2d(3, 2, 1, ceil_mode=True)", [real(2, 3, 8, 7)]),
    ("MaxPool2d(2, return_indices=True)", [real(2, 3, 8, 7)]),
    ("MaxPool3d(2)", [real(2, 2, 4, 4, 4)]),
    ("MaxUnpool2d(2)", [real(1, 1, 1, 2), index(1, 1, 1, 2, below=4)]),
    ("AvgPool1d(3, 2)", [real(2, 3, 7)]),
    ("AvgPool2d((2, 3), padding=1, count_include_pad=False)", [real(2, 3, 8, 7)]),
    ("AvgPool3d(2, divisor_override=3)", [real(2, 2, 4, 4, 4)]),
    ("AdaptiveAvgPool1d(3)", [real(2, 3, 7)]),
    ("AdaptiveAvgPool2d((None, 3))", [real(2, 3, 5, 7)]),
    ("AdaptiveAvgPool3d(2)", [real(2, 2, 4, 3, 5)]),
    ("AdaptiveMaxPool1d(3)", [real(2, 3, 7)]),
    ("AdaptiveMaxPool2d((2, 3))", [real(2, 3, 5, 7)]),
    ("AdaptiveMaxPool3d(2)", [real(2, 2, 4, 3, 5)]),
    ("LPPool1d(2, 3)", [real(2, 3, 7, low=0.1)]),
    ("LPPool2d(3, 2, stride=1)", [real(2, 3, 5, 7, low=0.1)]),
    *[(f"{name}()", [real(3, 4)]) for name in (
        "Sigmoid Tanh LogSigmoid Softsign Tanhshrink ReLU SELU SiLU Mish Hardsigmoid Hardswish Hardtanh ReLU6 ELU CELU "
        "LeakyReLU PReLU GELU Softplus Hardshrink Softshrink GLU").split()],
    *[(f"{name}(inplace=True)", [real(3, 4)]) for name in
      "ReLU SELU SiLU Mish Hardsigmoid Hardswish Hardtanh ReLU6 ELU CELU LeakyReLU".split()],
    ("GELU('tanh')", [real(3, 4)]),
    ("ELU(0.5)", [real(3, 4)]),
    ("CELU(0.5, True)", [real(3, 4)]),
    ("Hardtanh(-0.5, 0.3)", [real(3, 4)]),
    ("Softplus(2.0, 1.0)", [real(3, 4)]),
    ("Threshold(0.1, 20)", [real(3, 4)]),
    ("PReLU(3)", [real(2, 3, 4)]),
    ("RReLU().eval()", [real(3, 4)]),
    ("Softmax(1)", [real(3, 4)]),
    ("LogSoftmax(-1)", [real(3, 4)]),
    ("Softmin(0)", [real(3, 4)]),
    ("Softmax2d()", [real(2, 3, 4, 2)]),
    ("BatchNorm1d(3)", [real(5, 3)]),
    ("BatchNorm1d(3, momentum=None)", [real(5, 3, 4)]),
    ("BatchNorm2d(3, eps=1e-3, momentum=0.3)", [real(4, 3, 2, 5)]),
    ("BatchNorm2d(3).eval()", [real(4, 3, 2, 5)]),
    ("BatchNorm2d(3, affine=False, track_running_stats=False).eval()", [real(4, 3, 2, 5)]),
    ("BatchNorm3d(2, bias=False)", [real(4, 2, 2, 3, 2)]),
    ("LayerNorm(4)", [real(2, 3, 4)]),
    ("LayerNorm((3, 4), bias=False)", [real(2, 3, 4)]),
    ("LayerNorm(4, elementwise_affine=False)", [real(2, 3, 4)]),
    ("RMSNorm(4)", [real(2, 3, 4)]),
    ("RMSNorm([3, 4], eps=1e-3, elementwise_affine=False)", [real(2, 3, 4)]),
    ("GroupNorm(2, 4)", [real(2, 4, 3)]),
    ("GroupNorm(4, 4, affine=False)", [real(2, 4, 3)]),
    ("InstanceNorm1d(3)", [real(2, 3, 4)]),
    ("InstanceNorm2d(3, affine=True, track_running_stats=True)", [real(2, 3, 4, 3)]),
    ("InstanceNorm2d(3, track_running_stats=True).eval()", [real(3, 4, 3)]),
    ("InstanceNorm3d(2)", [real(2, 2, 2, 3, 2)]),
    ("LocalResponseNorm(3)", [real(2, 5, 4)]),
    ("Dropout(0.5, True).eval()", [real(2, 3)]),
    *[(f"{name}(0.4).eval()", [real(2, 3, *[4] * n)]) for name, n in (
        ("Dropout1d", 1), ("Dropout2d", 2), ("Dropout3d", 3), ("AlphaDropout", 0), ("FeatureAlphaDropout", 2))],
    ("Embedding(7, 3)", [index(2, 4, below=7)]),
    ("Embedding(7, 3, padding_idx=-2, max_norm=1.0, scale_grad_by_freq=True)", [index(2, 4, below=7)]),
    ("EmbeddingBag(7, 3)", [index(2, 4, below=7)]),
    ("EmbeddingBag(7, 3, mode='sum', padding_idx=1)", [index(2, 4, below=7)]),
    ("EmbeddingBag(7, 3, mode='max', include_last_offset=True)", [index(4, below=7), np.array([0, 1, 1, 4])]),
    ("EmbeddingBag(7, 3, mode='sum')", [index(4, below=7), np.array([0, 3]), real(4)]),
    ("RNN(3, 4, 2, nonlinearity='relu', bias=False)", [real(5, 2, 3)]),
    ("RNN(3, 4, bidirectional=True)", [real(5, 3)]),
    ("GRU(3, 4, 2, batch_first=True)", [real(2, 5, 3), real(2, 2, 4)]),
    ("LSTM(3, 4)", [real(5, 2, 3)]),
    ("LSTM(3, 4, 2, batch_first=True, bidirectional=True, proj_size=2)", [real(2, 5, 3)]),
    ("LSTM(3, 4)", [real(5, 3), (real(1, 4), real(1, 4))]),
    ("RNNCell(3, 4, nonlinearity='relu')", [real(2, 3)]),
    ("GRUCell(3, 4, bias=False)", [real(2, 3), real(2, 4)]),
    ("LSTMCell(3, 4)", [real(3), (real(4), real(4))]),
    ("MultiheadAttention(8, 2)", [real(5, 2, 8)] * 3),
    ("MultiheadAttention(8, 2, bias=False, batch_first=True, kdim=3, vdim=5)",
     [real(2, 5, 8), real(2, 4, 3), real(2, 4, 5)]),
    ("MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True)",
     [real(5, 8), real(4, 8), real(4, 8), np.array([False, True, False, False])]),
    ("TransformerEncoderLayer(8, 2, 16, 0.0)", [real(5, 2, 8)]),
    ("TransformerEncoderLayer(8, 2, 16, 0.0, 'gelu', norm_first=True, batch_first=True, bias=False)", [real(2, 5, 8)]),
    ("TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True)", [real(2, 5, 8), real(2, 4, 8)]),
    ("Transformer(8, 2, 2, 1, 16, 0.0, batch_first=True)", [real(2, 5, 8), real(2, 4, 8)]),
    ("PixelShuffle(2)", [real(2, 8, 3, 2)]),
    ("PixelUnshuffle(2)", [real(2, 2, 4, 6)]),
    ("ChannelShuffle(3)", [real(2, 6, 2, 2)]),
    ("Unfold((2, 3), dilation=2, padding=1, stride=2)", [real(2, 3, 6, 7)]),
    ("Fold((4, 5), (2, 3), padding=1, stride=2)", [real(2, 12, 9)]),
    ("Upsample(scale_factor=2)", [real(2, 3, 4)]),
    ("Upsample((5, 3), mode='bilinear')", [real(2, 3, 4, 6)]),
    ("Upsample(scale_factor=(1.7, 2.2), mode='bicubic', align_corners=True)", [real(2, 3, 4, 6)]),
    ("Upsample(scale_factor=1.3, mode='trilinear', recompute_scale_factor=True)", [real(1, 2, 4, 5, 3)]),
    ("UpsamplingBilinear2d(scale_factor=2)", [real(2, 3, 4, 6)]),
    ("UpsamplingNearest2d((3, 9))", [real(2, 3, 4, 6)]),
    *[(f"{kind}Pad{n}d(1)", [real(*(2, 3, 3, 4, 3)[:2 + n])])
      for kind in ("Reflection", "Replication", "Circular", "Zero") for n in (1, 2, 3)],
    ("ConstantPad2d((1, 0, -1, 2), 3.5)", [real(2, 3, 4, 5)]),
    ("CosineSimilarity()", [real(3, 4), real(3, 4)]),
    ("PairwiseDistance(1.5, keepdim=True)", [real(3, 4), real(3, 4)]),
]

_PROBABILITY = real(4, 3, low=0.05, high=0.95)
LOSSES = [
    ("L1Loss({})", [real(4, 3), real(4, 3)]),
    ("MSELoss({})", [real(4, 3), real(4, 3)]),
    ("SmoothL1Loss({}, beta=0.5)", [real(4, 3), real(4, 3)]),
    ("SmoothL1Loss({}, beta=0)", [real(4, 3), real(4, 3)]),
    ("HuberLoss({}, delta=0.7)", [real(4, 3), real(4, 3)]),
    ("PoissonNLLLoss({}, full=True)", [real(4, 3), real(4, 3, low=0.0, high=4.0)]),
    ("PoissonNLLLoss({}, log_input=False)", [_PROBABILITY, real(4, 3, low=0.0, high=4.0)]),
    ("GaussianNLLLoss({}, full=True)", [real(4, 3), real(4, 3), real(4, 1, low=0.0, high=2.0)]),
    ("NLLLoss({}, ignore_index=1)", [real(4, 3), index(4, below=3)]),
    ("NLLLoss({})", [real(3), index(below=3)]),
    ("CrossEntropyLoss({}, label_smoothing=0.1)", [real(4, 3, 2), index(4, 2, below=3)]),
    ("CrossEntropyLoss({}, weight=torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64))",
     [real(4, 3), index(4, below=3)]),
    ("CrossEntropyLoss({})", [real(4, 3), _PROBABILITY]),
    ("BCELoss({}, weight=torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64))", [_PROBABILITY, _PROBABILITY]),
    ("BCEWithLogitsLoss({})", [real(4, 3), _PROBABILITY]),
    ("BCEWithLogitsLoss({}, pos_weight=torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64))",
     [real(4, 3), _PROBABILITY]),
    ("KLDivLoss({})", [real(4, 3), _PROBABILITY]),
    ("KLDivLoss({}, log_target=True)", [real(4, 3), real(4, 3)]),
    ("SoftMarginLoss({})", [real(4, 3), signs(4, 3)]),
    ("HingeEmbeddingLoss({}, margin=0.5)", [real(4, 3), signs(4, 3)]),
    ("MultiLabelSoftMarginLoss({})", [real(4, 3), _PROBABILITY]),
    ("MultiLabelMarginLoss({})", [real(2, 4), np.array([[3, 0, -1, 1], [2, 1, 0, 3]])]),
    ("MultiMarginLoss({}, p=2, margin=0.5)", [real(4, 3), index(4, below=3)]),
    ("MarginRankingLoss({}, margin=0.2)", [real(4), real(4), signs(4)]),
    ("CosineEmbeddingLoss({}, margin=0.1)", [real(4, 3), real(4, 3), signs(4)]),
    ("TripletMarginLoss({}, swap=True)", [real(4, 3), real(4, 3), real(4, 3)]),
    ("TripletMarginWithDistanceLoss({})", [real(4, 3), real(4, 3), real(4, 3)]),
]
CASES = LAYERS + [(expression.format(f"reduction='{reduction}'"), inputs)
                  for expression, inputs in LOSSES for reduction in ("mean", "sum", "none")]


def _flat(value):
    """The tensors in nested tuples, in order."""
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in _flat(item)]
    return [] if value is None else [value]


def _run(lib, expression, arrays, weights=None):
    """Make the layer, call it twice (to see running statistics), differentiate; everything as NumPy arrays."""
    warnings.simplefilter("ignore")
    layer = eval("lib.nn." + expression, {"lib": lib, "torch": lib})
    text = repr(layer)
    layer.double()
    if weights is not None:
        layer.load_state_dict({name: lib.from_numpy(array.copy()) for name, array in weights.items()})
    start = {name: tensor.detach().numpy().copy() for name, tensor in layer.state_dict().items()}

    def tensors(value, graph):
        if isinstance(value, tuple):
            return tuple(tensors(item, graph) for item in value)
        tensor = lib.from_numpy(value.copy())
        differentiable = value.dtype.kind == "f" and not np.all(np.abs(value) == 1)
        return tensor.requires_grad_() if graph and differentiable else tensor

    inputs = tensors(arrays, graph=True)
    layer(*tensors(arrays, graph=False))
    leaves = [x * 1 for x in inputs] if "inplace" in expression or ", True)" in expression else inputs
    outputs = [y for y in _flat(layer(*leaves)) if y.dtype == lib.float64]
    rng = np.random.default_rng(1)
    total = sum((y * lib.from_numpy(np.asarray(rng.normal(size=tuple(y.shape))))).sum() for y in outputs)
    if total.requires_grad:
        total.backward()
    wanted = [*_flat(inputs), *layer.parameters()]
    return {"text": text, "start": start, "outputs": [y.detach().numpy() for y in outputs],
            "grads": [None if x.grad is None else x.grad.numpy() for x in wanted],
            "end": {name: tensor.detach().numpy() for name, tensor in layer.state_dict().items()}}


@pytest.mark.parametrize("expression, inputs", CASES, ids=[expression for expression, _ in CASES])
def test_layer_matches_pytorch(expression, inputs):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)

    def arrays(spec):
        if isinstance(spec, np.ndarray):
            return spec
        return _array(spec, rng) if isinstance(spec[0], str) else tuple(arrays(part) for part in spec)

    values = tuple(arrays(spec) for spec in inputs)
    torch.manual_seed(0)
    theirs = _run(torch, expression, values)
    ours = _run(mt, expression, values, theirs["start"])
    assert ours["text"] == theirs["text"]
    assert list(ours["start"]) == list(theirs["start"])
    rtol = 1e-7 if "Hardsigmoid" in expression else 1e-9  # PyTorch multiplies by a float32 sixth there
    for what in ("outputs", "grads"):
        assert len(ours[what]) == len(theirs[what])
        for a, b in zip(ours[what], theirs[what]):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10, err_msg=what)
    for name, value in theirs["end"].items():
        np.testing.assert_allclose(ours["end"][name], value, rtol=1e-9, atol=1e-12, err_msg=name)


FUNCTIONS = [
    ("F.normalize(x, p=3.0, dim=-1)", real(2, 3, 4)),
    ("F.cosine_similarity(x, x.flip(0), dim=-1)", real(2, 3, 4)),
    ("F.pdist(x, 1.5)", real(4, 3)),
    ("F.kl_div(x, x.softmax(-1), reduction='batchmean')", real(2, 3)),
    ("F.interpolate(x, scale_factor=0.6, mode='nearest')", real(1, 2, 7)),
    ("F.interpolate(x, 5, mode='nearest-exact')", real(1, 2, 7)),
    ("F.interpolate(x, (3, 2), mode='area')", real(1, 2, 7, 5)),
    ("F.interpolate(x, (3, 9), mode='bilinear', antialias=True)", real(1, 2, 7, 5)),
    ("F.interpolate(x, scale_factor=(0.4, 0.7), mode='bicubic', antialias=True)", real(1, 2, 9, 8)),
    ("F.interpolate(x, (4, 11), mode='bicubic')", real(1, 2, 7, 5)),
    ("F.interpolate(x, 1, mode='linear', align_corners=True)", real(1, 2, 7)),
    ("F.pad(x, (1, 2, 0, 1))", real(2, 3, 4)),
    ("F.pad(x, (1, 2), mode='circular')", real(2, 3, 4)),
    ("F.unfold(x, 3, padding=1)", real(2, 4, 4)),
    ("F.local_response_norm(x, 4, 0.1, 0.5, 2.0)", real(2, 6, 3)),
    ("F.scaled_dot_product_attention(x, x, x, is_causal=True)", real(2, 3, 5, 4)),
    ("F.relu_(x * 1)", real(3, 4)),
    ("F.leaky_relu_(x * 1, 0.3)", real(3, 4)),
    ("F.threshold_(x * 1, 0.3, -1.0)", real(3, 4)),
    ("F.glu(x, 0)", real(4, 3)),
    ("F.one_hot((x > 0).long(), 3) * 1.0", real(3)),
    ("F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=(5, 5))", real(2, 3, 5, 5)),
    ("F.instance_norm(x)", real(2, 3, 4)),
]


@pytest.mark.parametrize("expression, spec", FUNCTIONS, ids=[expression for expression, _ in FUNCTIONS])
def test_function_matches_pytorch(expression, spec):
    torch = pytest.importorskip("torch")
    value = _array(spec, np.random.default_rng(0))
    results = []
    for lib in (mt, torch):
        x = lib.from_numpy(value.copy()).requires_grad_()
        y = eval(expression, {"F": lib.nn.functional, "x": x})
        if y.requires_grad:
            (y * lib.arange(y.numel()).reshape(y.shape)).sum().backward()
        results.append((y.detach().numpy(), None if x.grad is None else x.grad.numpy()))
    for a, b in zip(*results):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


ERRORS = [
    "nn.Linear(3, 4)(torch.zeros(2, 5))",
    "nn.BatchNorm2d(3)(torch.zeros(2, 3))",
    "nn.BatchNorm1d(3)(torch.zeros(1, 3))",
    "nn.InstanceNorm2d(3)(torch.zeros(2, 3))",
    "nn.InstanceNorm1d(3)(torch.zeros(2, 3, 1))",
    "nn.GroupNorm(3, 4)",
    "nn.Dropout(1.5)",
    "nn.Conv2d(3, 4, 3, groups=2)",
    "nn.Conv2d(3, 4, 3, padding='same', stride=2)",
    "nn.Conv2d(3, 4, 3, padding='some')",
    "nn.LSTM(2, 3)(torch.zeros(2, 2, 5))",
    "nn.LSTM(2, 3)(torch.zeros(2))",
    "nn.LSTM(2, 3)(torch.zeros(2, 2, 2), (torch.zeros(1, 2, 4), torch.zeros(1, 2, 3)))",
    "nn.GRU(2, 3)(torch.zeros(2, 2), torch.zeros(1, 2, 4))",
    "nn.GRU(2, 3)(torch.zeros(2, 2, 2), torch.zeros(1, 2, 4))",
    "nn.GRU(2, 3, proj_size=1)",
    "nn.LSTM(2.0, 3)",
    "nn.LSTM(2, 3, num_layers=0)",
    "nn.GRUCell(2, 3)(torch.zeros(2, 4))",
    "nn.GRUCell(2, 3)(torch.zeros(2, 2), torch.zeros(2, 4))",
    "nn.Unflatten(1, 'a')",
    "nn.Embedding(3, 2, padding_idx=4)",
    "nn.MultiheadAttention(7, 2)",
    "nn.Module()(1)",
    "nn.Module().nothing",
    "nn.Linear(2, 2).to(torch.int64)",
    "nn.Linear(2, 2).train(1)",
    "nn.Linear(2, 2).get_submodule('a.b')",
    "nn.Linear(2, 2).get_parameter('in_features')",
    "nn.Linear(2, 2).register_buffer('weight', torch.zeros(1))",
    "nn.Linear(2, 2).register_buffer('a.b', torch.zeros(1))",
    "nn.Linear(2, 2).register_parameter('w', torch.zeros(1))",
    "nn.Linear(2, 2).add_module('m', 5)",
    "nn.Linear(2, 2).__setattr__('weight', torch.zeros(1))",
    "nn.Linear(2, 2).__setattr__('weight', 5)",
    "nn.BatchNorm1d(2).__setattr__('running_mean', 5)",
    "nn.Sequential(nn.ReLU()).__setattr__('0', 5)",
    "nn.Linear(2, 2).load_state_dict({'weight': torch.zeros(3, 2), 'extra': torch.zeros(1)})",
    "nn.Linear(2, 2).load_state_dict({'weight': 1, 'bias': torch.zeros(2)})",
    "nn.Linear(2, 2).load_state_dict([])",
    "nn.Sequential(nn.ReLU())[3]",
    "nn.Sequential(3)",
    "nn.ModuleList(5)",
    "nn.ModuleDict({'a.b': nn.ReLU()})",
    "nn.ModuleDict({'a': nn.ReLU()})['b']",
    "nn.functional.mse_loss(torch.zeros(2), torch.zeros(2), reduction='all')",
    "nn.functional.binary_cross_entropy(torch.zeros(2), torch.zeros(3))",
    "nn.functional.glu(torch.zeros(3))",
    "nn.functional.interpolate(torch.zeros(1, 1, 4), 2, mode='bilinear')",
    "nn.functional.interpolate(torch.zeros(1, 1, 4), mode='linear')",
    "nn.functional.pixel_shuffle(torch.zeros(1, 3, 2, 2), 2)",
    "nn.init.xavier_uniform_(torch.zeros(3))",
    "nn.init.calculate_gain('swish')",
]


@pytest.mark.parametrize("expression", ERRORS)
def test_errors_are_pytorchs(expression):
    torch = pytest.importorskip("torch")
    raised = []
    for lib in (torch, mt):
        with pytest.raises(Exception) as info:
            eval(expression, {"nn": lib.nn, "torch": lib})
        raised.append(info.value)
    assert type(raised[1]) is type(raised[0]), (raised[1], raised[0])
    if "shapes" not in str(raised[0]):
        assert str(raised[1]).replace("minitorch_bn.", "torch.")[:49] == str(raised[0])[:49]


# -- modules by themselves ---------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)
        self.tied = self.head
        self.scale = nn.Parameter(mt.ones(1))
        self.register_buffer("seen", mt.zeros(1), persistent=False)
        self.offset = nn.Buffer(mt.zeros(2))

    def forward(self, x, extra=0.0):
        return self.head(self.body(x)) * self.scale + self.offset + extra


def test_tree_of_names():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "head.weight", "head.bias"]
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)][-2:] == ["tied.weight", "tied.bias"]
    assert [name for name, _ in net.named_buffers()] == [
        "seen", "offset", "body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"]
    assert "seen" not in net.state_dict() and "offset" in net.state_dict()
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "head"]
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("body.1.running_var") is net.body[1].running_var
    net.set_submodule("body.2", nn.Tanh())
    assert isinstance(net.body[2], nn.Tanh)
    del net.tied
    assert "tied" not in dir(net) and "head" in dir(net)


def test_modes_gradients_and_conversion():
    net = Net()
    assert net.eval() is net and not any(module.training for module in net.modules())
    net.train().requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    weight = net.head.weight
    net(mt.ones(4, 3)).sum().backward()
    net.double()
    assert net.head.weight is weight and weight.dtype == weight.grad.dtype == mt.float64
    assert net.body[1].num_batches_tracked.dtype == mt.int64
    net.zero_grad(set_to_none=False)
    assert float(weight.grad.abs().sum()) == 0
    net.zero_grad()
    assert weight.grad is None
    seen = []
    net.apply(lambda module: seen.append(type(module).__name__))
    assert seen[-1] == "Net" and seen.count("Linear") == 2


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_independent_and_equal(clone):
    net = Net().eval()
    twin = clone(net)
    x = mt.ones(2, 3)
    assert mt.equal(net(x), twin(x))
    assert twin.head is twin.tied and isinstance(twin.scale, nn.Parameter) and twin.scale.requires_grad
    with mt.no_grad():
        twin.scale.add_(1)
    assert not mt.equal(net(x), twin(x))


def test_state_dict_round_trip_and_report():
    net, other = Net(), Net()
    x = mt.randn(4, 3)
    net(x)
    assert repr(other.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    assert mt.equal(net.eval()(x), other.eval()(x))
    state = net.state_dict(prefix="m.")
    assert all(key.startswith("m.") for key in state)
    partial = {"scale": mt.zeros(1), "other": mt.zeros(1)}
    report = other.load_state_dict(partial, strict=False)
    assert report.unexpected_keys == ["other"] and "head.weight" in report.missing_keys
    tensor = mt.zeros(1, dtype=mt.float64)
    other.load_state_dict({"scale": tensor}, strict=False, assign=True)
    assert other.scale.dtype == mt.float64 and isinstance(other.scale, nn.Parameter)


def test_state_dict_of_old_batch_norm_lacks_the_counter():
    norm = nn.BatchNorm1d(2)
    state = {key: value for key, value in norm.state_dict().items() if key != "num_batches_tracked"}
    norm.load_state_dict(state)


def test_extra_state_and_state_hooks():
    class Extra(nn.Module):
        def get_extra_state(self):
            return {"n": 5}

        def set_extra_state(self, state):
            self.got = state

    net = nn.Sequential(Extra())
    calls = []
    net.register_state_dict_post_hook(lambda module, state, prefix, meta: calls.append("saved"))
    net.register_load_state_dict_post_hook(lambda module, keys: calls.append("loaded"))
    net.register_load_state_dict_pre_hook(lambda module, state, *rest: calls.append(type(module).__name__))
    state = net.state_dict()
    assert state == {"0._extra_state": {"n": 5}}
    net.load_state_dict(state)
    assert net[0].got == {"n": 5} and calls == ["saved", "Sequential", "loaded"]


def test_forward_hooks():
    layer = nn.Linear(2, 2)
    x = mt.ones(1, 2)
    plain = layer(x)
    with layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,)):
        assert mt.allclose(layer(x), layer.forward(x * 2))
    with layer.register_forward_hook(lambda m, args, out: out + 1):
        assert mt.allclose(layer(x), plain + 1)
    assert mt.equal(layer(x), plain)
    net = Net().eval()
    with net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"extra": 1.0}), with_kwargs=True):
        assert mt.allclose(net(mt.ones(1, 3)), net.forward(mt.ones(1, 3)) + 1)
    calls = []
    layer.register_forward_hook(lambda m, args, out: calls.append("last"), always_call=True)
    layer.register_forward_hook(lambda m, args, out: calls.append("first"), prepend=True)
    layer(x)
    with pytest.raises(RuntimeError):
        layer(mt.ones(1, 3))
    assert calls == ["first", "last", "last"]


def test_backward_hooks():
    layer = nn.Linear(2, 3)
    calls = []
    layer.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    layer.register_full_backward_hook(lambda m, grad_input, grad_output: calls.append((grad_input, grad_output)))
    x = mt.ones(4, 2, requires_grad=True)
    layer(x).sum().backward()
    (grad_input, grad_output), = calls
    assert mt.allclose(grad_output[0], mt.full((4, 3), 2.0))
    assert mt.allclose(grad_input[0], layer.weight.sum(0).expand(4, 2) * 2)
    assert mt.allclose(x.grad, grad_input[0])
    layer.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0] * 0,))
    x.grad = None
    layer(x).sum().backward()
    assert float(x.grad.abs().sum()) == 0
    first = nn.Linear(2, 3)
    first.register_full_backward_hook(lambda m, grad_input, grad_output: grad_output)
    with pytest.raises(RuntimeError, match="should always return None"):
        first(mt.ones(4, 2)).sum().backward()


def test_hooks_of_all_modules():
    from minitorch_bn.nn.hooks import register_module_forward_hook

    seen = []
    with register_module_forward_hook(lambda module, args, out: seen.append(type(module).__name__)):
        nn.Sequential(nn.ReLU(), nn.Tanh())(mt.zeros(1))
    assert seen == ["ReLU", "Tanh", "Sequential"]


def test_containers():
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Linear(1, 1))
    assert isinstance(net[1:], nn.Sequential) and len(net[1:]) == 2 and net[-1] is net[2]
    net.insert(1, nn.GELU())
    net.append(nn.ELU()).extend([nn.SELU()])
    assert [type(m).__name__ for m in net] == ["ReLU", "GELU", "Tanh", "Linear", "ELU", "SELU"]
    del net[1:3]
    assert list(net._modules) == ["0", "1", "2", "3"] and isinstance(net.pop(0), nn.ReLU)
    assert len(net + net) == 6 and len(net * 2) == 6
    modules = nn.ModuleList([nn.ReLU()] * 3)
    modules += [nn.Tanh()]
    assert len(modules) == 4 and repr(modules) == "ModuleList(\n  (0-2): 3 x ReLU()\n  (3): Tanh()\n)"
    named = nn.ModuleDict({"a": nn.ReLU()})
    named.update([("b", nn.Tanh())])
    assert list(named) == ["a", "b"] and "a" in named and isinstance(named.pop("a"), nn.ReLU) and len(named) == 1
    params = nn.ParameterList([mt.zeros(2), nn.Parameter(mt.ones(3))])
    assert len(list(params.parameters())) == 2 and isinstance(params[0], nn.Parameter) and len(params[:1]) == 1
    assert list(params.state_dict()) == ["0", "1"]
    table = nn.ParameterDict({"w": mt.zeros(2), "n": 3})
    assert list(table.keys()) == ["w", "n"] and table["n"] == 3 and [n for n, _ in table.named_parameters()] == ["w"]
    assert table.setdefault("v", mt.ones(1)) is table.get("v") and table.popitem()[0] == "v"


def test_parameter_prints_and_wraps():
    data = mt.zeros(2)
    parameter = nn.Parameter(data)
    assert repr(parameter) == "Parameter containing:\ntensor([0., 0.], requires_grad=True)"
    with mt.no_grad():
        parameter.add_(1)
    assert float(data.sum()) == 2 and parameter.is_leaf
    with pytest.raises(RuntimeError):
        nn.Parameter(mt.zeros(2, dtype=mt.int64))
    assert not nn.Parameter(mt.zeros(2, dtype=mt.int64), requires_grad=False).requires_grad


def test_dropout_keeps_the_mean():
    mt.manual_seed(0)
    x = mt.ones(200, 50, 4)
    for layer in (nn.Dropout(0.3), nn.Dropout1d(0.3)):
        y = layer(x)
        zero = (y == 0).float()
        assert abs(float(zero.mean()) - 0.3) < 0.02 and abs(float(y.mean()) - 1) < 0.03
    assert float(((y == 0).sum(-1) % 4).sum()) == 0  # whole channels
    z = nn.AlphaDropout(0.2)(mt.randn(100000))
    assert abs(float(z.mean())) < 0.03 and abs(float(z.std()) - 1) < 0.03
    assert float(F.dropout(x, 1.0).abs().sum()) == 0


def test_initialization():
    mt.manual_seed(0)
    w = mt.empty(200, 100)
    for fill, std in ((nn.init.xavier_uniform_, (2 / 300) ** 0.5), (nn.init.xavier_normal_, (2 / 300) ** 0.5),
                      (nn.init.kaiming_uniform_, (2 / 100) ** 0.5), (nn.init.kaiming_normal_, (2 / 100) ** 0.5)):
        fill(w)
        assert abs(float(w.std()) / std - 1) < 0.03 and abs(float(w.mean())) < 0.1 * std
    nn.init.trunc_normal_(w, std=0.5, a=-0.6, b=0.6)
    assert float(w.abs().max()) <= 0.6
    nn.init.orthogonal_(w)
    assert mt.allclose(w.t() @ w, mt.eye(100), atol=1e-5)
    nn.init.eye_(w)
    assert float(w.sum()) == 100
    nn.init.sparse_(w, 0.5)
    assert (w == 0).sum(0).tolist() == [100] * 100
    kernel = nn.init.dirac_(mt.empty(4, 2, 3), groups=2)
    assert mt.equal(F.conv1d(mt.ones(1, 4, 5), kernel, padding=1, groups=2), mt.ones(1, 4, 5))
    assert float(nn.init.constant_(w, 0.3).mean()) == pytest.approx(0.3)


def test_clipping_and_vectors():
    layer = nn.Linear(3, 2)
    layer(mt.ones(1, 3)).sum().backward()
    norm = nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    assert float(norm) == pytest.approx(8**0.5, rel=1e-6)
    assert float(nn.utils.get_total_norm([p.grad for p in layer.parameters()])) == pytest.approx(1.0, rel=1e-5)
    nn.utils.clip_grad_value_(layer.parameters(), 0.1)
    assert float(layer.weight.grad.max()) == pytest.approx(0.1)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    nn.utils.vector_to_parameters(mt.arange(8.0), layer.parameters())
    assert layer.bias.tolist() == [6.0, 7.0] and isinstance(layer.bias, nn.Parameter)
    padded = nn.utils.rnn.pad_sequence([mt.ones(2), mt.ones(3)], batch_first=True, padding_side="left")
    assert padded.tolist() == [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    assert [s.tolist() for s in nn.utils.rnn.unpad_sequence(
        nn.utils.rnn.pad_sequence([mt.ones(2), mt.ones(3)]), mt.tensor([2, 3]))] == [[1.0] * 2, [1.0] * 3]


def test_attention_masks():
    attention = nn.MultiheadAttention(4, 2, batch_first=True).eval()
    x = mt.randn(2, 3, 4)
    causal = nn.Transformer.generate_square_subsequent_mask(3)
    output, weights = attention(x, x, x, attn_mask=causal)
    assert weights[0, 0].tolist()[1:] == [0.0, 0.0]
    fast, none = attention(x, x, x, attn_mask=causal, need_weights=False)
    assert none is None and mt.allclose(output, fast, atol=1e-6)
    boolean, _ = attention(x, x, x, attn_mask=causal < 0)
    assert mt.allclose(output, boolean, atol=1e-6)
    padding = mt.tensor([[False, False, True]] * 2)
    _, weights = attention(x, x, x, key_padding_mask=padding, average_attn_weights=False)
    assert weights.shape == (2, 2, 3, 3) and float(weights[..., 2].detach().abs().sum()) == 0
