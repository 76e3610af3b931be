"""Batches of sequences of different lengths."""

from __future__ import annotations

from collections.abc import Iterable

import minitorch_bn as torch


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
