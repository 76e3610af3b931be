"""One library's half of a comparison of models from foreign sources: run as a script, in a process of its own.

    model_worker.py torch|ours PLAN FOLDER DTYPE

PLAN is a JSON list of the cases of one group (see `source_models`). PyTorch writes to FOLDER, for each case, the
weights it drew, the output, the loss and all gradients; ours reads the weights from there and writes the rest.
"""
from __future__ import annotations

import json
import os
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


def import_torch(library: str) -> Any:
    """torch, which may be ours; torchvision is made importable where its compiled half does not fit."""
    if library == "ours":
        import minitorch_bn
        minitorch_bn.install_as_torch()
    import torch
    if library == "torch":
        definitions = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            try:
                definitions.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            except RuntimeError:
                pass
        torch.kept = definitions
    torch.set_num_threads(int(os.environ.get("ORACLE_THREADS", "1")))
    if library == "torch" and os.environ.get("ORACLE_MKLDNN") == "0":
        torch._C._set_mkldnn_enabled(False)
    return torch


def switch_off_chance(torch: Any) -> None:
    """Dropout as a function does nothing from now on."""
    F = torch.nn.functional
    for name in DROPOUTS:
        setattr(F, name, lambda input, *args, **options: input)
    torch.dropout = F.dropout
    attention = F.scaled_dot_product_attention

    def certain_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                          *rest: Any, **options: Any) -> Any:
        return attention(query, key, value, attn_mask, 0.0, *rest, **options)
    F.scaled_dot_product_attention = certain_attention


def without_dropout(model: Any) -> None:
    """The modules' dropout does nothing."""
    for module in model.modules():
        kind = type(module).__name__
        if "Dropout" in kind and isinstance(getattr(module, "p", None), float):
            module.p = 0.0
        if kind in ("MultiheadAttention", "LSTM", "GRU", "RNN") and isinstance(
                getattr(module, "dropout", None), float):
            module.dropout = 0.0


def smooth_kinks(torch: Any) -> list[tuple[Any, str, Any]]:
    """Let rectifiers be smooth; what has to be put back afterwards."""
    F, nn = torch.nn.functional, torch.nn
    old = [(place, name, getattr(place, name)) for place, name in (
        (F, "relu"), (F, "relu_"), (F, "relu6"), (F, "leaky_relu"), (torch, "relu"), (nn.ReLU, "forward"),
        (nn.ReLU6, "forward"), (nn.LeakyReLU, "forward"))]
    for place, name, _ in old:
        setattr(place, name, (lambda self, x: F.silu(x)) if name == "forward" else
                lambda x, *args, **options: F.silu(x))
    return old


class Inputs:
    """Makers of inputs, the same for both libraries."""

    def __init__(self, torch: Any, dtype: str) -> None:
        self.torch, self.dtype, self.generator = torch, getattr(torch, dtype), np.random.default_rng(7)

    def image(self, *shape: int) -> Any:
        """Normal numbers."""
        return self.torch.tensor(self.generator.standard_normal(shape).astype(np.float32)).to(self.dtype)

    def unit(self, *shape: int) -> Any:
        """Numbers in 0 .. 1."""
        return self.torch.tensor(self.generator.random(shape).astype(np.float32)).to(self.dtype)

    def tokens(self, limit: int, *shape: int) -> Any:
        """Integers below a limit."""
        return self.torch.tensor(self.generator.integers(0, limit, shape))


def floats_in(torch: Any, value: Any) -> list[Any]:
    """The float tensors in an output, in order."""
    if isinstance(value, torch.Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = list(value.values())
    elif hasattr(value, "__dict__") and not isinstance(value, (list, tuple)):
        value = list(vars(value).values())
    return [part for item in value for part in floats_in(torch, item)] if isinstance(value, (list, tuple)) else []


def forget(folder: str) -> None:
    """Remove from sys.modules what came from a folder of sources."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(folder):
            del sys.modules[name]


def shells(folder: str, packages: dict[str, str]) -> None:
    """Packages whose __init__ is not run, so that single modules of them can be imported."""
    for name, path in packages.items():
        module = types.ModuleType(name)
        module.__path__ = [str(Path(folder, path))]
        sys.modules[name] = module


def code_of_chapter(path: Path, until: str = "") -> str:
    """The PyTorch blocks of a chapter of Dive into Deep Learning."""
    blocks, block = [], None
    for line in path.read_text().splitlines():
        if line.startswith("```"):
            if block is not None and any(tag in block[0] for tag in ("pytorch", "all")) and "%%tab" in block[0]:
                blocks.append("\n".join(block[1:]))
            block = [] if line.startswith("```{.python") else None
        elif block is not None and (block or line.strip()):
            block.append(line)
    lines = "\n".join(blocks).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "from d2l", "d2l.plot", "d2l.set_figsize")))


def run(torch: Any, case: dict[str, Any], folder: Path, dtype: str, library: str) -> dict[str, Any]:
    """Compute one case; returns what to report."""
    source = case["source"]
    sys.path.insert(0, source)
    for name in case["stubs"]:
        sys.modules[name] = MagicMock(name=name)
    shells(source, case["shells"])
    torch.manual_seed(0)
    argv, sys.argv = sys.argv, ["script.py"]
    torch.set_default_dtype(getattr(torch, dtype))
    put_back = smooth_kinks(torch) if case.get("smooth") else []
    try:
        inputs = Inputs(torch, dtype)
        space: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np, "Path": Path,
                                 "source": source, "chapter": code_of_chapter, "image": inputs.image,
                                 "unit": inputs.unit, "tokens": inputs.tokens, "__name__": "source"}
        exec(case["setup"], space)
        model = eval(case["build"], space)
        args = eval(f"({case['inputs']},)", space)
        model = model.to(getattr(torch, dtype)) if dtype == "float64" else model
        without_dropout(model)
        model.train(case["train"])
        space["model"] = model
        path = folder / f"{case['id']}.npz"
        if library == "torch" and dtype == "float32":
            np.savez(folder / f"{case['id']}.weights.npz",
                     **{key: value.numpy() for key, value in model.state_dict().items()})
        saved = np.load(folder / f"{case['id']}.weights.npz")
        state = {key: torch.tensor(saved[key]) for key in saved.files}
        own = model.state_dict()
        theirs, own, state = list(saved.files), list(own), type(own)(state)
        state._metadata = model.state_dict()._metadata  # some models ask for their version
        if theirs != own:
            raise AssertionError(f"other keys in the state_dict: {set(theirs) ^ set(own) or 'their order'}")
        model.load_state_dict(state)
        start = time.perf_counter()
        result = eval(case["call"], {**space, "args": args}) if case["call"] else model(*args)
        outputs = floats_in(torch, result)
        weights = np.random.default_rng(3)
        loss = 0.0
        for output in outputs:
            w = torch.tensor(weights.standard_normal(tuple(output.shape))).to(output.dtype)
            loss = loss + (output * (w + 0.5 * output)).mean()
        loss.backward()  # type: ignore[attr-defined]
        seconds = time.perf_counter() - start
        arrays = {f"output {i}": output.detach().numpy() for i, output in enumerate(outputs)}
        arrays["loss"] = loss.detach().numpy()  # type: ignore[attr-defined]
        for key, p in model.named_parameters():
            if p.grad is not None:
                arrays[f"grad {key}"] = p.grad.numpy()
        for key, b in model.named_buffers():
            arrays[f"buffer {key}"] = b.numpy()
        np.savez(path.with_suffix(f".{library}.{dtype}.npz"), **arrays)
        return {"seconds": seconds, "loss": float(loss)}  # type: ignore[arg-type]
    finally:
        for place, name, value in put_back:
            setattr(place, name, value)
        torch.set_default_dtype(torch.float32)
        sys.path.remove(source)
        sys.argv = argv
        for name in [*case["stubs"], *case["shells"]]:
            sys.modules.pop(name, None)
        forget(source)


def main() -> None:
    """Compute all cases of a plan, a line of JSON for each."""
    library, plan, folder, dtype = sys.argv[1:]
    torch = import_torch(library)
    switch_off_chance(torch)
    for case in json.loads(Path(plan).read_text()):
        try:
            report = run(torch, case, Path(folder), dtype, library)
        except Exception as error:
            report = {"error": f"{type(error).__name__}: {error}"[:600], "trace": traceback.format_exc()[-3000:]}
        print("\n" + json.dumps({"id": case["id"], **report}), flush=True)


if __name__ == "__main__":
    main()
