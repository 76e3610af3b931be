"""Batches of sequences of different lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import minitorch_bn as torch


class _Packed(NamedTuple):
    data: torch.Tensor
    batch_sizes: torch.Tensor
    sorted_indices: torch.Tensor | None
    unsorted_indices: torch.Tensor | None


class PackedSequence(_Packed):
    """Sequences of different lengths, step by step: what `pack_padded_sequence` makes and the recurrent layers take.

    `data` (sum of lengths, *) has first the first step of all sequences, longest sequence first, then the second step
    of those that have one, ...; `batch_sizes` says how many have each. `sorted_indices` are the places in the original
    batch of the sequences in this order, or None if they were sorted already.
    """

    def __new__(cls, data: torch.Tensor, batch_sizes: torch.Tensor | None = None,
                sorted_indices: torch.Tensor | None = None,
                unsorted_indices: torch.Tensor | None = None) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (tuple, list)) or len(data) != 2:
                raise AssertionError("PackedSequence needs data and batch_sizes")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    @property
    def is_cuda(self) -> bool:
        """False: everything is on the CPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in page-locked memory."""
        return self.data.is_pinned()

    def pin_memory(self) -> PackedSequence:
        """The same with its data where `Tensor.pin_memory` puts it."""
        return type(self)(self.data.pin_memory(), *self[1:])

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with its data converted as `Tensor.to` does."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else type(self)(data, *self[1:])

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same: everything is on the CPU."""
        return self

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Raises the error that asking for any absent device does."""
        return self.to(*args, device="cuda", **kwargs)

    def double(self) -> PackedSequence:
        """The same in float64."""
        return self.to(torch.float64)

    def float(self) -> PackedSequence:
        """The same in float32."""
        return self.to(torch.float32)

    def half(self) -> PackedSequence:
        """The same in float16."""
        return self.to(torch.float16)

    def long(self) -> PackedSequence:
        """The same in int64."""
        return self.to(torch.int64)

    def int(self) -> PackedSequence:
        """The same in int32."""
        return self.to(torch.int32)


def invert_permutation(permutation: torch.Tensor | None) -> torch.Tensor | None:
    """The permutation that undoes this one."""
    return None if permutation is None else permutation.argsort()


def _places(lengths: torch.Tensor, steps: int, batch: int) -> torch.Tensor:
    """Which elements of a (steps, batch) array, counted row by row, lie within these lengths."""
    return (torch.arange(steps).unsqueeze(1) < lengths).reshape(-1).nonzero().squeeze(1)


def pack_padded_sequence(input: torch.Tensor, lengths: torch.Tensor | Sequence[int], batch_first: bool = False,
                         enforce_sorted: bool = True) -> PackedSequence:
    """A padded batch (L, N, *), or (N, L, *) with `batch_first`, without its padding.

    The sequences have to be sorted by length, longest first, unless `enforce_sorted` is False.
    """
    lengths = torch.as_tensor(lengths, dtype=torch.int64)
    if lengths.dim() != 1:
        raise RuntimeError(f"`lengths` must be a one-dimensional list or tensor, but got shape {list(lengths.shape)}")
    if batch_first:
        input = input.transpose(0, 1)
    order = None
    if not enforce_sorted:
        lengths, order = lengths.sort(descending=True, stable=True)
    steps, batch = input.shape[:2]
    if lengths.numel() != batch or not batch:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {lengths.numel()} "
                           f"(batch_size={batch})")
    if int(lengths.min()) <= 0:
        raise RuntimeError("Length of all samples has to be greater than 0, but found an element in 'lengths' that is "
                           "<= 0")
    if bool((lengths[1:] > lengths[:-1]).any()):
        raise RuntimeError("`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can "
                           "pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this "
                           "requirement if you do not need ONNX exportability.")
    if int(lengths[0]) > steps:
        raise RuntimeError(f"Expected lengths of at most {steps}, the padded length, but got {int(lengths[0])}")
    if order is not None:
        input = input.index_select(1, order)
    data = input.flatten(0, 1).index_select(0, _places(lengths, steps, batch))
    batch_sizes = (torch.arange(int(lengths[0])).unsqueeze(1) < lengths).sum(1)
    return PackedSequence(data, batch_sizes, order)


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The padded batch (L, N, *), or (N, L, *) with `batch_first`, and the lengths: undoes `pack_padded_sequence`.

    L is `total_length`, by default that of the longest sequence.
    """
    data, batch_sizes, _, unsort = sequence
    steps, batch = batch_sizes.numel(), int(batch_sizes[0])
    if total_length is not None and total_length < steps:
        raise ValueError("Expected total_length to be at least the length of the longest sequence in input, but got "
                         f"total_length={total_length} and max sequence length being {steps}")
    lengths = (batch_sizes.unsqueeze(1) > torch.arange(batch)).sum(0)
    steps = total_length or steps
    source = torch.full((steps * batch,), data.size(0))  # beyond the data: padding
    source[_places(lengths, steps, batch)] = torch.arange(data.size(0))
    filled = torch.cat([data, data.new_full((1, *data.shape[1:]), padding_value)])
    padded = filled.index_select(0, source).reshape(steps, batch, *data.shape[1:])
    if unsort is not None:
        padded, lengths = padded.index_select(1, unsort), lengths[unsort]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pack_sequence(sequences: Sequence[torch.Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L_i, *) of different lengths, packed."""
    lengths = torch.tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[torch.Tensor]:
    """The sequences (L_i, *) that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def pad_sequence(sequences: torch.Tensor | Iterable[torch.Tensor], batch_first: bool = False,
                 padding_value: float = 0.0, padding_side: str = "right") -> torch.Tensor:
    """One tensor of sequences (L_i, *): (max L, N, *), or (N, max L, *) with `batch_first`, filled up on one side."""
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    if not isinstance(sequences, Iterable):
        raise RuntimeError("pad_sequence: Expected iterable for input sequences, but got arg of type: "
                           f"{type(sequences)}")
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(sequence.size(0) for sequence in sequences)
    rest = sequences[0].shape[1:]
    for sequence in sequences:
        if sequence.shape[1:] != rest:
            raise RuntimeError(f"pad_sequence: all sequences must have the same sizes after the first axis, but got "
                               f"{list(sequences[0].shape)} and {list(sequence.shape)}")
    filled = []
    for sequence in sequences:
        missing = longest - sequence.size(0)
        if missing:
            filler = sequence.new_full((missing, *rest), padding_value)
            sequence = torch.cat([sequence, filler] if padding_side == "right" else [filler, sequence])
        filled.append(sequence)
    return torch.stack(filled, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: torch.Tensor, lengths: Iterable[int | torch.Tensor],
                   batch_first: bool = False) -> list[torch.Tensor]:
    """The sequences of a tensor that `pad_sequence` made, at their lengths."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[:int(length)] for sequence, length in zip(padded_sequences, lengths)]
