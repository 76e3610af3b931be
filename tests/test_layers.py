"""Every layer, loss and function of nn against PyTorch: values, gradients, printed form, keys, errors."""

import warnings

import numpy as np
import pytest
from errors import both_raise

import minitorch_bn as mt


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
    ("EmbeddingBag(7, 3, mode='sum')", [index(6, below=7), np.array([0, 2, 4]), real(6)]),
    ("EmbeddingBag(7, 3)", [index(6, below=7), np.array([0, 2, 2, 5])]),
    ("EmbeddingBag(7, 3, mode='max')", [index(6, below=7), np.array([0, 3])]),
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
    "nn.functional.binary_cross_entropy(torch.tensor([0.5, 2.0]), torch.zeros(2))",
    "nn.functional.glu(torch.zeros(3))",
    "nn.functional.interpolate(torch.zeros(1, 1, 4), 2, mode='bilinear')",
    "nn.functional.interpolate(torch.zeros(1, 1, 4), mode='linear')",
    "nn.functional.pixel_shuffle(torch.zeros(1, 3, 2, 2), 2)",
    "nn.init.xavier_uniform_(torch.zeros(3))",
    "nn.init.calculate_gain('swish')",
]


@pytest.mark.parametrize("expression", ERRORS)
def test_errors_are_pytorchs(expression):
    theirs, ours = both_raise(expression, lambda lib: {"nn": lib.nn})
    if "shapes" not in theirs:
        assert ours.replace("minitorch_bn.", "torch.")[:49] == theirs[:49]
