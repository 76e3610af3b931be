"""What the comparison with PyTorch's operator database leaves out, treats apart, or is known to differ in: one table
each, with the reasons."""
from __future__ import annotations

COMPLEX = "complex numbers are not supported"
SPARSE = "sparse tensors are not supported"
CUDA = "runs on a graphics card only"
JIT = "compiles CUDA source at run time"
PRIVATE = "a private building block of PyTorch's own backends"
QUANTIZED = "numbers of 8 bits or fewer with scales are not supported"

# Entries that mean nothing here. fft comes back as complex tensors.
EXCLUDED = {
    "cdouble": COMPLEX, "cfloat": COMPLEX, "chalf": COMPLEX, "complex": COMPLEX, "polar": COMPLEX, "imag": COMPLEX,
    "view_as_complex": COMPLEX, "view_as_real": COMPLEX, "istft": COMPLEX,
    "linalg.eig": COMPLEX, "linalg.eigvals": COMPLEX, "nn.functional.silu/complex": COMPLEX,
    **{f"fft.{name}": COMPLEX for name in (
        "fft", "fft2", "fftn", "rfft", "rfft2", "rfftn", "ifft", "ifft2", "ifftn", "ihfft", "ihfft2", "ihfftn")},
    "sparse.sampled_addmm": SPARSE, "sparse.mm/reduce": SPARSE, "to_sparse": SPARSE,
    "jiterator_unary": JIT, "jiterator_binary": JIT, "jiterator_4inputs_with_extra_args": JIT,
    "jiterator_binary_return_by_ref": JIT, "jiterator_2inputs_2outputs": JIT,
    "torch._scaled_mm": QUANTIZED, "torch._scaled_mm_v2": QUANTIZED,
    "bmm/triton_optimized": CUDA,
    **dict.fromkeys((
        "_softmax_backward_data", "max_pool2d_with_indices_backward", "slice", "native_dropout_backward",
        "_segment_reduce/lengths", "_segment_reduce/offsets",
        "_chunk_cat", "_unsafe_masked_index", "_unsafe_masked_index_put_accumulate",
        "_native_batch_norm_legit", "_batch_norm_with_update", "_upsample_bilinear2d_aa",
        "torch.ops.aten._safe_softmax.default", "torch.ops.aten._flash_attention_forward",
        "torch.ops.aten._efficient_attention_forward", "grid_sampler_2d", "grid_sampler_3d"), PRIVATE),
}

# Uninitialized memory: only shape and dtype are compared. (Random results are recognized by running PyTorch twice.)
UNINITIALIZED = {"empty", "empty_like", "new_empty", "new_empty_strided", "empty_strided", "empty_permuted", "resize_",
                 "resize_as_"}

# Of equal elements, which index comes first is unspecified: compared for floats, whose samples hold no equal ones.
TIES = {"topk", "kthvalue", "mode", "sort", "argsort", "median", "nanmedian"}

# Allowed relative errors beside the default, (float32, float64), where PyTorch's own two float types differ that much.
TOLERANCES: dict[str, tuple[float, float]] = {
    "nn.functional.hardsigmoid": (1e-5, 1e-7),  # PyTorch takes 1/6 in float32 for the gradient
    "logcumsumexp": (1e-3, 1e-9),  # PyTorch's gradient goes through a logarithm of sums that cancel
    # PyTorch's polynomials for these have errors of 1e-6 in either dtype
    **dict.fromkeys((f"special.{name}" for name in ("airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1")),
                    (1e-5, 1e-5)),
    # in float32 PyTorch's reflection loses digits next to the poles
    **dict.fromkeys(("special.polygamma/special_polygamma_n_0", *(f"polygamma/polygamma_n_{n}" for n in range(5))),
                    (1e-3, 1e-9)),
}

# Where minitorch_bn is known to differ from PyTorch, or does without: name -> why. docs/differences.md is written from
# this table, and the tests fail when an entry of it passes.
DIFFERENCES: dict[str, str] = {
    "hash_tensor": "its result is of dtype uint64, which is not there",
    "as_strided_scatter": "PyTorch passes a gradient to an element that is overwritten when the window has no dims; "
                          "here it gets none",
    "linalg.norm/subgradients_at_zero": "the second derivative of a norm at 0 is NaN in PyTorch, 0 here",
    "masked.logaddexp": "the second derivative where both are masked is NaN in PyTorch, 0 here",
    "nn.functional.linear_cross_entropy/chunked": "PyTorch's gradient of the chunked loss has no gradient of its own "
                                                  "for some inputs; here it has",
}
