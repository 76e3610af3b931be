"""Cases for the modules that PyTorch's table of modules leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.testing._internal.common_modules import FunctionInput, ModuleInput

Cases = Sequence[ModuleInput]


def _case(build: tuple, *call: Any, **options: Any) -> ModuleInput:
    return ModuleInput(FunctionInput(*build, **options), FunctionInput(*call))


def _grad(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype).requires_grad_()


def _dropouts(*shapes: tuple[int, ...]) -> Callable[[torch.dtype], Cases]:
    return lambda dtype: [_case((p,), _grad(dtype, *shape)) for shape in shapes for p in (0.0,)]


def _pads(ndim: int, *values: float) -> Callable[[torch.dtype], Cases]:
    def cases(dtype: torch.dtype) -> Cases:
        shape = (2, 3, *(4, 5, 6)[:ndim])
        return [_case((padding, *values), _grad(dtype, *shape[drop:]))
                for padding in (2, tuple(range(1, 2 * ndim + 1))) for drop in (0, 1)]
    return cases


def _unpools(ndim: int) -> Callable[[torch.dtype], Cases]:
    def cases(dtype: torch.dtype) -> Cases:
        pool = getattr(torch.nn.functional, f"max_pool{ndim}d")
        found = []
        for shape in ((2, 3, *(8,) * ndim), (3, *(8,) * ndim)):
            values, indices = pool(torch.randn(shape, dtype=dtype), 2, return_indices=True)
            found.append(_case((2,), values.requires_grad_(), indices))
            found.append(_case((2, 2, 0), values.detach().requires_grad_(), indices, shape[-ndim:]))
        return found
    return cases


def _adaptive_softmax(dtype: torch.dtype) -> Cases:
    target = torch.tensor([0, 3, 5, 9, 2, 11])
    return [_case((8, 12, [4, 8]), _grad(dtype, 6, 8), target, dtype=dtype),
            _case((8, 12, [4, 8], 2.0, True), _grad(dtype, 6, 8), target, dtype=dtype),
            _case((8, 12, [4]), _grad(dtype, 8), target[1], dtype=dtype)]


def _embedding_bags(dtype: torch.dtype) -> Cases:
    index = torch.tensor([1, 2, 4, 5, 4, 3, 2, 0])
    offsets = torch.tensor([0, 0, 4])
    rows = index.reshape(2, 4)
    cases = [_case((7, 3), index, offsets, mode=mode, dtype=dtype) for mode in ("sum", "mean", "max")]
    cases += [_case((7, 3), rows, mode=mode, padding_idx=2, dtype=dtype) for mode in ("sum", "mean", "max")]
    cases.append(_case((7, 3), index, torch.tensor([0, 3, 8]), mode="sum", include_last_offset=True, dtype=dtype))
    cases.append(_case((7, 3), index, offsets, _grad(dtype, 8), mode="sum", dtype=dtype))
    return cases


def _pairs(*builds: tuple) -> Callable[[torch.dtype], Cases]:
    return lambda dtype: [_case(build, _grad(dtype, 4, 6), _grad(dtype, 4, 6)) for build in builds]


def _triplets(**options: Any) -> Callable[[torch.dtype], Cases]:
    return lambda dtype: [_case((), *(_grad(dtype, 4, 6) for _ in range(3)), **{**options, **more})
                          for more in ({}, {"margin": 0.5}, {"swap": True}, {"reduction": "none"})]


def _images(*builds: tuple, shape: tuple[int, ...] = (2, 8, 4, 4), **options: Any) -> Callable[[torch.dtype], Cases]:
    return lambda dtype: [_case(build, _grad(dtype, *shape), **options) for build in builds]


def _upsamples(dtype: torch.dtype) -> Cases:
    image, line, volume = (2, 3, 4, 5), (2, 3, 6), (1, 2, 3, 4, 3)
    options = [({"size": (7, 3), "mode": mode}, image) for mode in ("nearest", "bilinear", "bicubic", "area",
                                                                   "nearest-exact")]
    options += [({"scale_factor": 1.7, "mode": mode, "align_corners": align}, image)
                for mode in ("bilinear", "bicubic") for align in (True, False)]
    options += [({"scale_factor": 2, "mode": "linear"}, line), ({"scale_factor": 2.5, "mode": "trilinear"}, volume),
                ({"scale_factor": 1.5, "recompute_scale_factor": True}, image)]
    return [ModuleInput(FunctionInput(**option), FunctionInput(_grad(dtype, *shape))) for option, shape in options]


EXTRA: dict[str, Callable[[torch.dtype], Cases]] = {
    "AdaptiveLogSoftmaxWithLoss": _adaptive_softmax,
    "AlphaDropout": _dropouts((4, 5)),
    "ChannelShuffle": _images((2,), (4,)),
    "ConstantPad1d": _pads(1, 1.5), "ConstantPad2d": _pads(2, 1.5), "ConstantPad3d": _pads(3, 1.5),
    "CosineSimilarity": _pairs((), (0,), (-1, 1e-3)),
    "CrossMapLRN2d": _images((3,), (5, 1e-2, 0.5, 2.0)),
    "Dropout": _dropouts((4, 5)), "Dropout1d": _dropouts((3, 4, 5)), "Dropout2d": _dropouts((2, 3, 4, 5)),
    "Dropout3d": _dropouts((2, 3, 4, 5, 2)),
    "EmbeddingBag": _embedding_bags,
    "FeatureAlphaDropout": _dropouts((2, 3, 4)),
    "Flatten": _images((), (0,), (1, 2), (-2, -1)),
    "Fold": _images(((4, 5), (2, 2)), shape=(2, 12, 12)),
    "Hardsigmoid": _images((), shape=(3, 4)),
    "Identity": _images((), (3,), shape=(3, 4)),
    "MaxUnpool1d": _unpools(1), "MaxUnpool2d": _unpools(2), "MaxUnpool3d": _unpools(3),
    "PairwiseDistance": _pairs((), (1.0,), (3.0, 1e-3, True)),
    "PixelShuffle": _images((2,)), "PixelUnshuffle": _images((2,)),
    "RReLU": _images((0.2, 0.2), shape=(3, 4)),
    "TripletMarginLoss": _triplets(), "TripletMarginWithDistanceLoss": _triplets(),
    "Unflatten": _images((1, (2, 4)), (1, (4, -1))),
    "Unfold": _images((2,), ((2, 3), 1, 1, 2)),
    "Upsample": _upsamples,
    "UpsamplingBilinear2d": _images(((7, 3),), (None, 2)), "UpsamplingNearest2d": _images(((7, 3),), (None, 2)),
    "ZeroPad1d": _pads(1), "ZeroPad2d": _pads(2), "ZeroPad3d": _pads(3),
}
