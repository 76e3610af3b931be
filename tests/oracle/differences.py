"""Writes docs/differences.md: how much of PyTorch's operator database agrees, what differs and why, and which names
are not there.

``python -m tests.oracle.differences [--json results.json]``, results of ``tests.oracle.ops``; without it, all is run.
"""
from __future__ import annotations

import argparse
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import torch

import minitorch_bn as ours

from .cases import DIFFERENCES, EXCLUDED
from .entry import DTYPES, ENTRIES
from .ops import ASPECTS, first_reason, passed, run_all

PAGE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"
MEANING = {"forward": "values, dtypes and shapes", "method": "the method of Tensor", "inplace": "the in-place form",
           "out": "writing to `out=`", "aliases": "other names of the same",
           "grad": "first derivatives", "gradgrad": "second derivatives", "errors": "bad input raises"}
KINDS = {"f32": "float32", "f64": "float64", "i64": "int64", "bool": "bool", "-": "bad input"}
# Where a user looks for names. What begins with an underscore is private.
NAMESPACES = ("", "Tensor", "nn", "nn.functional", "nn.init", "nn.utils", "optim", "optim.lr_scheduler", "utils.data",
              "autograd", "linalg", "fft", "special", "distributions", "amp", "random")
# Names that stand for a kind of thing which is left out, by what they begin with or contain.
LEFT_OUT = {
    "complex numbers": ("complex", "cfloat", "cdouble", "chalf", "Complex", "polar", "view_as_real", "istft", "stft"),
    "sparse tensors": ("sparse", "Sparse", "coalesce", "spmm", "hspmm", "sspaddmm", "ccol_", "crow_", "col_indices",
                       "row_indices", "smm"),
    "quantized numbers": ("q_", "quantize", "quantized", "qint", "quint", "dequantize", "int_repr", "fbgemm",
                          "qscheme", "QUInt", "QInt", "per_channel", "per_tensor", "qparams", "fused_moving_avg"),
    "graphics cards and other devices": ("cudnn", "miopen", "mkldnn", "cuda", "hip", "mps", "xpu", "ipu", "hpu", "mtia",
                                         "vulkan", "gpu"),
    "compiled or captured graphs": ("compile", "export", "jit", "fx", "script", "Script", "sym_", "Sym", "vitals",
                                    "Graph", "classes", "parse_", "merge_type", "unify_"),
    "named dims": ("align_", "refine_names", "rename", "Named"),
}


def counts(results: dict[str, Any]) -> list[str]:
    """A table: what was compared, for which dtype, how many of how many entries agree."""
    lines = ["| what | " + " | ".join(KINDS.values()) + " |", "|---" * (len(KINDS) + 1) + "|"]
    for aspect in ASPECTS:
        cells = []
        for dtype in KINDS:
            outcomes = [result[aspect][dtype] for result in results.values() if dtype in result.get(aspect, {})]
            cells.append(f"{sum(o == 'pass' for o in outcomes)} of {len(outcomes)}" if outcomes else "")
        lines.append(f"| {MEANING[aspect]} | " + " | ".join(cells) + " |")
    return lines


def plain(text: str) -> str:
    return " ".join(text.split())[:160].replace("|", "\\|")


def operators(results: dict[str, Any]) -> list[str]:
    """The entries of the operator database."""
    states = {name: passed(result) for name, result in results.items()}
    good = [name for name, state in states.items() if state]
    total = sum(state is not None for state in states.values())
    lines = ["## Operators", "",
             f"PyTorch {torch.__version__.split('+')[0]} tests itself with a database of {len(ENTRIES)} operators and "
             f"their variants. {len(EXCLUDED)} of them mean nothing here (below). Of the other {total}, **{len(good)} "
             f"({100 * len(good) / total:.1f} %) agree in everything** that is compared on up to 30 samples for each "
             "dtype; random operators in shape and dtype only.", "", *counts(results), "", "### What differs", ""]
    for name, state in states.items():
        if state is False:
            absent = "absent: " in first_reason(results[name])
            why = DIFFERENCES.get(name) or ("not there" if absent else plain(first_reason(results[name])))
            lines.append(f"- `{name}`: {why}")
    lines += ["", "### What is left out", ""]
    for reason in dict.fromkeys(EXCLUDED.values()):
        names = ", ".join(f"`{name}`" for name, why in EXCLUDED.items() if why == reason)
        lines.append(f"- {reason[0].upper() + reason[1:]}: {names}")
    return lines


def namespace(library: Any, path: str) -> Any:
    """torch, a class or a module in it; None if it is not there."""
    try:
        return getattr(library, path) if path == "Tensor" else importlib.import_module(
            ".".join(filter(None, [library.__name__, path])))
    except (ImportError, AttributeError):
        return None


def missing_names(path: str) -> list[str]:
    """Public names of PyTorch's namespace that ours lacks: functions, classes and constants, not modules."""
    theirs, mine = namespace(torch, path), namespace(ours, path)
    missing = []
    for name in getattr(theirs, "__all__", None) or dir(theirs):
        value = getattr(theirs, name, None)
        home = getattr(value, "__module__", None) or "torch"
        if (name[0] != "_" and not inspect.ismodule(value) and home.startswith("torch") and not hasattr(mine, name)
                and callable(value) and not (inspect.isclass(value) and hasattr(torch._C, name))):
            missing.append(name)
    return sorted(missing)


def names() -> list[str]:
    """Public names that are not there, by namespace; those of a kind that is left out are counted only."""
    lines = ["## Names that are not there", "",
             "A name that is missing raises an AttributeError with the nearest name that exists. Left out as a kind "
             "are: " + ", ".join(LEFT_OUT) + ". The other public names that are missing:", ""]
    for path in NAMESPACES:
        full = f"torch.{path}".rstrip(".")
        missing = missing_names(path)
        other = [name for name in missing if not any(part in name for parts in LEFT_OUT.values() for part in parts)]
        text = ", ".join(f"`{name}`" for name in other) or "none"
        left = f" (and {len(missing) - len(other)} of the kinds left out)" if len(other) < len(missing) else ""
        lines.append(f"- **{full}**: {text}{left}")
    return lines


def hooks() -> list[str]:
    """What the ways of extending PyTorch reach here."""
    return [
        "## Subclasses, hooks, memory formats", "",
        "- Classes derived from `torch.Tensor` keep their type through methods, operators and the functions of "
        "`torch`, `nn.functional`, `linalg`, `special` and `fft`, and their `__torch_function__` is asked. "
        "It is not asked of attributes that are no tensors (`shape`, `dtype`), nor of what layers of `torch.nn` "
        "compute inside (a layer gives plain tensors), nor of functions that were imported by name before the first "
        "such class, nor for objects that are no tensors; there is no `TorchFunctionMode`, and no "
        "`__torch_dispatch__`.",
        "- `saved_tensors_hooks` see what operations in C keep, and inputs that a `Function` saves; not what a "
        "`Function` keeps of its own results, nor what composed operations (recurrent layers, checkpoints) keep. What "
        "the unpack hook returns must have the shape and dtype of what was saved.",
        "- `node(gradient)` checks the gradient's shape. A node that was reached by `next_functions` and cannot tell "
        "the shape of its result refuses the call.",
        "- Element-wise operations, batch norm and the gradients of parameters keep `channels_last`. Convolutions, "
        "pooling, `interpolate`, `pad`, `cat` and `dropout` take such tensors and give contiguous ones; PyTorch's are "
        "`channels_last`. The values are the same.",
    ]


# Each section is a function from the results of the operator database to lines of Markdown. More are added here.
SECTIONS = (operators, lambda results: hooks(), lambda results: names())


def page(results: dict[str, Any]) -> str:
    lines = ["# Differences from PyTorch", "",
             "minitorch_bn computes what PyTorch computes, on the CPU, for real numbers in dense tensors. This page is "
             "written by `python -m tests.oracle.differences` from a comparison with PyTorch itself.", ""]
    for section in SECTIONS:
        lines += [*section(results), ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="results that `python -m tests.oracle.ops --json` wrote")
    options = parser.parse_args()
    if options.json:
        results = json.loads(Path(options.json).read_text())
    else:
        results = run_all([name for name in ENTRIES if name not in EXCLUDED], list(DTYPES), 30)
    PAGE.write_text(page(results))
    print(f"{PAGE.name}: {sum(passed(r) is True for r in results.values())} entries agree")


if __name__ == "__main__":
    main()
