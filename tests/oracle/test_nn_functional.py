"""Functions of torch.nn.functional and torch.nn.init that PyTorch's tables cover thinly, against PyTorch."""

import itertools
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
import minitorch_bn as ours  # noqa: E402


def carried(value):
    if isinstance(value, torch.Tensor):
        return ours.from_numpy(value.detach().numpy().copy()).requires_grad_(value.requires_grad)
    return value


def agree(function, *inputs, tolerance=1e-9, **options):
    """Values and gradients of `function(package, *inputs)` are the same on both sides."""
    results = []
    for package in (torch, ours):
        leaves = [value if package is torch else carried(value) for value in inputs]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = function(package, *leaves, **options)
        wanted = [leaf for leaf in leaves if getattr(leaf, "requires_grad", False)]
        weights = torch.linspace(-1, 2, output.numel(), dtype=torch.float64).reshape(tuple(output.shape)).to(
            getattr(torch, str(output.dtype).split(".")[-1]))
        grads = package.autograd.grad((output * (weights if package is torch else carried(weights))).sum(), wanted) \
            if wanted else ()
        results.append([output.detach().numpy(), *(grad.numpy() for grad in grads)])
    for a, b in zip(*results):
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)
        assert a.shape == b.shape and a.dtype == b.dtype


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode,ndim", [("bilinear", 2), ("nearest", 2), ("bicubic", 2), ("bilinear", 3),
                                       ("nearest", 3)])
def test_grid_sample(mode, ndim, padding, align):
    torch.manual_seed(0)
    image = randn(2, 3, *(5, 4, 3)[:ndim])
    grid = (torch.rand(2, *(4, 3, 2)[:ndim], ndim, dtype=torch.float64) * 4 - 2).requires_grad_()

    def sample(p, image, grid):
        return p.nn.functional.grid_sample(image, grid, mode, padding, align)

    agree(sample, image, grid)
    agree(sample, torch.ones(2, 3, *(1,) * ndim, dtype=torch.float64), grid.detach())


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 1, 4, 5), (2, 1, 3, 4, 2), (2, 3, 1, 4)])
def test_affine_grid(size, align):
    n = len(size) - 2
    agree(lambda p, theta: p.nn.functional.affine_grid(theta, size, align), randn(2, n, n + 1))
    with pytest.raises(ValueError, match="affine matrices of shape"):
        ours.nn.functional.affine_grid(ours.zeros(2, n, n), size, align)


def test_sampling_errors():
    sample = ours.nn.functional.grid_sample
    image, grid = ours.zeros(1, 1, 2, 2), ours.zeros(1, 2, 2, 2)
    for arguments, error in (((image, grid, "cubic"), ValueError), ((image, grid, "nearest", "wrap"), ValueError),
                             ((image, grid[..., :1]), RuntimeError), ((image[0], grid), RuntimeError),
                             ((image, grid.double()), RuntimeError), ((ours.zeros(2, 1, 2, 2), grid), RuntimeError),
                             ((ours.zeros(1, 1, 2, 2, 2), ours.zeros(1, 1, 1, 1, 3), "bicubic"), RuntimeError)):
        with pytest.raises(error), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sample(*arguments)
    with pytest.warns(UserWarning, match="align_corners"):
        sample(image, grid)


TARGETS = torch.tensor([[1, 2, 2], [3, 1, 1], [2, 2, 2]])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("lengths", [((6, 5, 6), (3, 2, 1)), ((6, 6, 6), (0, 3, 3)), ((3, 6, 4), (1, 0, 2))])
def test_ctc_loss(lengths, reduction):
    logits = randn(6, 3, 4)

    def loss(p, logits, targets):
        return p.nn.functional.ctc_loss(logits.log_softmax(2), targets, *lengths, reduction=reduction)

    agree(loss, logits, TARGETS)
    row = torch.cat([target[:length] for target, length in zip(TARGETS, lengths[1])])
    agree(loss, logits, row)
    agree(lambda p, logits, targets: p.nn.functional.ctc_loss(
        logits.log_softmax(2), targets, p.tensor(lengths[0]), p.tensor(lengths[1]), blank=0, reduction=reduction),
        logits, TARGETS)


def test_ctc_loss_of_impossible_targets_and_single_sequences():
    logits = randn(3, 3, 4)
    for zero_infinity in (False, True):
        results = [p.nn.functional.ctc_loss(x.log_softmax(2), targets, (3, 3, 3), (3, 3, 3), reduction="none",
                                            zero_infinity=zero_infinity).detach().numpy()
                   for p, x, targets in ((torch, logits, TARGETS), (ours, carried(logits), carried(TARGETS)))]
        np.testing.assert_allclose(results[1], results[0])  # the labels that repeat need a blank between them
    agree(lambda p, x, targets: p.nn.functional.ctc_loss(x.log_softmax(1), targets, (5,), (2,)), randn(5, 4),
          torch.tensor([1, 2]))
    loss = ours.nn.functional.ctc_loss
    x, targets = ours.randn(4, 2, 3), ours.ones(2, 2, dtype=ours.int64)
    for arguments in ((targets, (5, 4), (2, 2)), (targets, (4, 4), (3, 2)), (targets, (4,), (2, 2)),
                      (targets, (4, 4), (2, 2), 3), (targets + 5, (4, 4), (2, 2)), (targets, (4.0, 4.0), (2, 2)),
                      (targets[0], (4, 4), (2, 2))):
        with pytest.raises(RuntimeError):
            loss(x, *arguments)


def test_ctc_loss_second_derivative():
    logits = ours.randn(5, 2, 4, dtype=ours.float64).requires_grad_()
    targets = ours.tensor([[1, 2], [3, 3]])
    ours.autograd.gradgradcheck(
        lambda x: ours.nn.functional.ctc_loss(x.log_softmax(2), targets, (5, 4), (2, 1)), (logits,))


def test_convolution_with_time_first_and_older_names():
    agree(lambda p, x, w, b: p.nn.functional.conv_tbc(x, w, b, 1), randn(5, 2, 3), randn(3, 3, 4), randn(4))
    agree(lambda p, x: p.nn.functional.upsample_bilinear(x, scale_factor=2), randn(1, 2, 3, 4))
    agree(lambda p, x: p.nn.functional.upsample_nearest(x, size=(5, 5)), randn(1, 2, 3, 4))
    agree(lambda p, x: p.nn.functional.max_pool2d_with_indices(x, 2)[0], randn(1, 2, 4, 4))
    agree(lambda p, x: p.nn.functional.adaptive_max_pool1d_with_indices(x, 2)[0], randn(2, 3, 5))
    agree(lambda p, x, w, y: p.nn.functional.linear_cross_entropy(x, w, y), randn(4, 3), randn(5, 3),
          torch.tensor([0, 4, 2, 2]))


@pytest.mark.parametrize("norm_type", [2.0, 1.0, float("inf"), 3])
@pytest.mark.parametrize("foreach", [None, False, True])
def test_clipping(norm_type, foreach):
    values = [torch.randn(3, 2), torch.randn(4) * 3]
    found = []
    for package in (torch, ours):
        utils = package.nn.utils
        parameters = [package.nn.Parameter(package.zeros(*value.shape)) for value in values]
        for parameter, value in zip(parameters, values):
            parameter.grad = value.clone() if package is torch else carried(value)
        unused = package.nn.Parameter(package.zeros(1))
        before = utils.clip_grad_norm_([*parameters, unused], 0.7, norm_type, foreach=foreach)
        after = utils.get_total_norm([p.grad for p in parameters], norm_type, foreach=foreach)
        utils.clip_grad_value_(iter(parameters), 0.2, foreach=foreach)
        grads = [p.grad.clone() for p in parameters]
        utils.clip_grads_with_norm_(parameters, 0.1, package.tensor(0.5))
        parameters[0].grad[0, 0] = float("nan")
        with pytest.raises(RuntimeError, match="non-finite"):
            utils.clip_grad_norm_(parameters, 1.0, norm_type, error_if_nonfinite=True)
        vector = utils.parameters_to_vector(grads)
        utils.vector_to_parameters(vector, parameters)
        found.append([before, after, *grads, parameters[1].grad, vector, *parameters])
    for a, b in zip(*found):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-6)


FILLS = [("uniform_", (-1, 2)), ("normal_", (1, 2)), ("trunc_normal_", (0.5, 2, -1, 3)), ("xavier_uniform_", (2,)),
         ("xavier_normal_", ()), ("kaiming_uniform_", (0.1, "fan_out")), ("kaiming_normal_", (0, "fan_in", "relu")),
         ("constant_", (3.5,)), ("ones_", ()), ("zeros_", ()), ("orthogonal_", (2,)), ("eye_", ()),
         ("sparse_", (0.3, 2.0)), ("dirac_", (2,))]


@pytest.mark.parametrize("name,options", FILLS)
def test_init(name, options):
    shape = (6, 4, 3) if name == "dirac_" else (30, 40)
    torch.manual_seed(3)
    ours.manual_seed(3, stream="torch")
    theirs, mine = torch.empty(shape), ours.empty(shape)
    fill = getattr(ours.nn.init, name)
    getattr(torch.nn.init, name)(theirs, *options)
    assert fill(mine, *options) is mine
    if name == "orthogonal_":
        np.testing.assert_allclose((mine @ mine.T).numpy(), 4 * np.eye(30), atol=1e-5)
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-5, atol=2e-6)
    old = getattr(ours.nn.init, name[:-1], None)
    if hasattr(torch.nn.init, name[:-1]):
        with pytest.warns(FutureWarning, match="deprecated"):
            old(mine, *options)


def test_gains():
    for name, parameter in itertools.product(
            ["linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"], [None, 0.2]):
        assert ours.nn.init.calculate_gain(name, parameter) == torch.nn.init.calculate_gain(name, parameter)
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        ours.nn.init.calculate_gain("gelu")


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_gradients_of_convolutions(ndim):
    x, w = randn(2, 4, *(6, 5, 4)[:ndim]), randn(6, 2, *(3, 2, 2)[:ndim])
    options = {"stride": 2, "padding": 1, "groups": 2}
    g = getattr(torch.nn.functional, f"conv{ndim}d")(x, w, **options).detach() * 2 + 1
    agree(lambda p, w, g: getattr(p.nn.grad, f"conv{ndim}d_input")(x.shape, w, g, **options), w, g)
    agree(lambda p, x, g: getattr(p.nn.grad, f"conv{ndim}d_weight")(x, w.shape, g, **options), x, g)
