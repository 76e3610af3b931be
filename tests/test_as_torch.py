"""Being torch: `import torch` gives this package, scripts run under it as under Python, and what is missing says so."""
import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import minitorch_bn as torch
from minitorch_bn import _names, nn
from minitorch_bn.version import TorchVersion

HERE = Path(__file__).resolve().parent
NAMES: dict[str, list[str]] = {}
for line in (HERE / "api_names.txt").read_text().splitlines():
    if line.startswith("["):
        NAMES[line[1:-1]] = group = []
    elif not line.startswith("#"):
        group.append(line)
REFUSED = {"torch.view_as_real", "torch.sparse_coo_tensor"}  # complex and sparse: an error that says so


def python(*arguments, cwd=HERE, code=0):
    """Run Python in `cwd`; what it printed and its errors."""
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False,
                          env=dict(__import__("os").environ, PYTHONPATH=str(Path(torch.__file__).parent.parent)))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def installed(program):
    """Run a program with torch installed, in a process of its own; what it printed."""
    return python("-c", "import minitorch_bn\nminitorch_bn.install_as_torch()\n" + textwrap.dedent(program))[0].split()


# -- import ------------------------------------------------------------------------------------------------------------

def test_modules_are_the_same_objects():
    installed("""
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        import torch.backends.cudnn as cudnn
        import torch.utils.data
        from torch.utils.data import DataLoader
        from torch.utils.data.dataset import TensorDataset
        from torch.optim.lr_scheduler import StepLR
        from torch.optim.optimizer import Optimizer
        from torch.autograd import Variable
        from torch.nn.modules.batchnorm import _BatchNorm, BatchNorm2d
        from torch.nn.modules.utils import _pair
        from torch.nn.parallel import DistributedDataParallel
        from torch.nn.parameter import Parameter
        from torch.nn.utils.clip_grad import clip_grad_norm_
        from torch.cuda.amp import autocast, GradScaler
        from torch.amp.autocast_mode import autocast as other
        from torch.distributed import init_process_group
        from torch.jit import Final
        from torch.types import Device
        import torch.multiprocessing, torch.profiler, torch.func, torch.version, torch._dynamo, torch.testing
        import torch.fx, torch.ao.quantization, torch.onnx, torch.cuda.nccl
        assert torch is minitorch_bn and nn is minitorch_bn.nn and F is minitorch_bn.nn.functional
        assert nn.__spec__.name == nn.__name__ == "minitorch_bn.nn"
        assert nn.modules.batchnorm.BatchNorm2d is nn.BatchNorm2d and issubclass(BatchNorm2d, _BatchNorm)
        assert nn.modules.conv is nn.conv and nn.modules.container.Sequential is nn.Sequential
        assert Optimizer is torch.optim.Optimizer and Parameter is nn.Parameter and _pair(3) == (3, 3)
        assert cudnn is torch.backends.cudnn
        import minitorch_bn.optim.adam
        import torch.optim.adam
        assert torch.optim.adam is minitorch_bn.optim.adam
    """)


def test_metadata_and_specs():
    installed("""
        import importlib.metadata, importlib.util
        import torch
        assert importlib.metadata.version("torch") == torch.__version__ == "2.13.0+minitorch_bn"
        assert importlib.metadata.version("torchvision") == __import__("torchvision").__version__
        assert importlib.metadata.version("pytest") and "torch" in {d.name for d in importlib.metadata.distributions()}
        assert importlib.util.find_spec("torch") and importlib.util.find_spec("torch.nn.modules.conv")
        assert importlib.util.find_spec("json").name == "json"
    """)


def test_torchvision_is_our_vision():
    pytest.importorskip("minitorch_bn.vision")
    installed("""
        import torchvision, minitorch_bn.vision
        import torchvision.transforms as transforms
        assert torchvision is minitorch_bn.vision and transforms is minitorch_bn.vision.transforms
        from torchvision.datasets import MNIST
    """)


def test_safetensors_read_and_write_our_tensors(tmp_path):
    installed(f"""
        import torch
        from safetensors.torch import load_file, save_file
        import minitorch_bn.safetensors
        assert save_file is minitorch_bn.safetensors.save_file
        save_file({{"x": torch.arange(3)}}, {str(tmp_path / "x.safetensors")!r})
        assert load_file({str(tmp_path / "x.safetensors")!r})["x"].tolist() == [0, 1, 2]
    """)


def test_install_twice_and_uninstall():
    installed("""
        import sys
        minitorch_bn.install_as_torch()
        import torch.nn.functional
        assert torch.__version__.endswith("+minitorch_bn") and minitorch_bn._as_torch.installed()
        minitorch_bn.uninstall_as_torch()
        assert not [name for name in sys.modules if name.split(".")[0] in ("torch", "torchvision")]
        assert minitorch_bn.__version__ == "0.1.0" and not minitorch_bn._as_torch.installed()
        minitorch_bn.uninstall_as_torch()
    """)


@pytest.mark.skipif(not (HERE.parent / "docs").exists(), reason="needs the checkout")
def test_block_of_the_howto_runs():
    page = (HERE.parent / "docs" / "howto" / "from_pytorch.md").read_text()
    python("-c", page.partition("```py\n")[2].partition("```")[0])  # in a process that has not seen the real torch


def test_install_is_refused_beside_the_real_one(tmp_path):
    (tmp_path / "torch.py").write_text("tensor = None")
    python("-c", textwrap.dedent("""
        import torch, minitorch_bn
        try:
            minitorch_bn.install_as_torch()
        except RuntimeError as error:
            assert "already imported" in str(error) and "python -m minitorch_bn run" in str(error)
        else:
            raise SystemExit("installed")
    """), cwd=tmp_path)


def test_versions_compare_by_number():
    version = TorchVersion("2.13.0+minitorch_bn")
    assert version >= "2.4" and version > "2.9.1" and version < "2.13.1" and version >= (2, 13) and version < (3,)
    assert not version < "1.13" and version <= "2.13.0" and isinstance(version, str)
    assert TorchVersion("2.13.0a0") >= "2.13"
    assert torch.version.cuda is None and torch.version.hip is None and isinstance(torch.version.git_version, str)
    assert installed("import torch; print(torch.__version__, torch.version.__version__)") == ["2.13.0+minitorch_bn"] * 2


# -- what is missing ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("module, name, near", [
    (torch, "radn", "torch.randn"), (nn, "Linaer", "torch.nn.Linear"), (torch.optim, "Adgrad", "torch.optim.Adagrad"),
    (torch.utils.data, "Datset", "torch.utils.data.Dataset"), (torch, "_foreach_mxaimum", None),
    (torch.cuda, "is_availabel", "torch.cuda.is_available"), (nn.modules, "Linaer", None)])
def test_a_missing_name_names_its_neighbour(module, name, near):
    with pytest.raises(AttributeError, match="is not in minitorch_bn") as caught:
        getattr(module, name)
    assert _names.PAGE in str(caught.value) and (near is None or f"(nearest: {near})" in str(caught.value))
    assert not hasattr(module, "__wrapped__")


def test_absent_modules_import_and_explain():
    with pytest.raises(AttributeError, match=r"torch\.fx\.symbolic_trace is not in minitorch_bn: graphs are"):
        torch.fx.symbolic_trace  # noqa: B018
    with pytest.raises(AttributeError, match="complex dtypes are not supported"):
        torch.view_as_complex  # noqa: B018
    installed("""
        try:
            import torch.radn
        except ModuleNotFoundError as error:
            assert "torch.radn is not in minitorch_bn (nearest: torch.randn)" in str(error)
        else:
            raise SystemExit("found")
        try:
            from torch.fx import Graph
        except ImportError:
            pass
    """)


# -- names and keywords that real scripts use --------------------------------------------------------------------------

def holders():
    """An object of each kind that the names with a leading dot are looked up on."""
    net = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=1)
    return [torch.ones(2, 2), torch.ones(2, 2).max(1), net, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1)]


@pytest.mark.parametrize("group", ["must", "should", "nice", "vision"])
def test_every_name_resolves(group):
    things = [name for name in NAMES[group] if name[0] == "."]
    found = installed(f"""
        import sys
        sys.path.insert(0, {str(HERE / "oracle")!r})
        from coverage import resolve
        print(*[name for name in {[name for name in NAMES[group] if name[0] != "."]!r} if not resolve(name)])
    """)
    on = holders()
    absent = REFUSED if importlib.util.find_spec("tensorboard") else {
        *REFUSED, *(name for name in NAMES[group] if "tensorboard" in name)}  # an extra
    missing = [name for name in found if name not in absent]
    missing += [name for name in things if not any(hasattr(holder, name[1:]) for holder in on)]
    assert not missing


def test_coverage_of_scripts(tmp_path):
    (tmp_path / "covered.py").write_text("import torch.nn as nn\nfrom torch import optim as o\n"
                                         "nn.Linear(1, 1).weight.foo\no.Adam\ndef f(o): o.unknown")
    (tmp_path / "missing.py").write_text("import torch\nimport torch.nn.functional as F\nF.reluu(torch.ones(1))")
    (tmp_path / "absent.py").write_text("from torch.fx import Graph")
    (tmp_path / "other.py").write_text("import math")
    (tmp_path / "broken.py").write_text("import torch (")
    lines = python(HERE / "oracle" / "coverage.py", tmp_path)[0].splitlines()
    assert lines[0].startswith("1 of 3 files (33.3%)") and lines[1].startswith("2 (66.7%)")
    assert [line.split() for line in lines[2:]] == [["1", "torch.fx.Graph"], ["1", "torch.nn.functional.reluu"]]


def test_refused_names_say_why():
    for name in REFUSED:
        with pytest.raises(AttributeError, match="not supported by minitorch_bn"):
            getattr(torch, name.partition(".")[2])


def test_keywords_of_layers_and_losses():
    nn.Conv2d(2, 4, kernel_size=3, padding="same", stride=1, bias=False, groups=2, dilation=2, padding_mode="zeros",
              device="cpu", dtype=torch.float32)
    nn.BatchNorm2d(4, momentum=0.1, eps=1e-5, affine=True, track_running_stats=True)
    nn.LayerNorm(4, bias=False, eps=1e-6, elementwise_affine=True)
    nn.Linear(2, 3, bias=True, dtype=torch.float64, device=torch.device("cpu"))
    nn.MaxPool2d(kernel_size=2, stride=2, padding=0, ceil_mode=True)
    nn.LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True, dropout=0.1)
    nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(p=0.5, inplace=True))
    loss = nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=-1, reduction="sum", weight=torch.ones(3))
    assert loss(torch.zeros(2, 3), torch.tensor([0, -1])).shape == ()


def test_keywords_of_functions():
    x = torch.arange(6, dtype=torch.float32, device="cpu", requires_grad=True).reshape(2, 3)
    torch.zeros(2, dtype=torch.long, device="cpu", requires_grad=False)
    torch.tensor([1.0], dtype=torch.float64, device="cpu", requires_grad=True)
    assert torch.randn(2, 3, generator=torch.Generator(device="cpu").manual_seed(0)).shape == (2, 3)
    assert torch.cat([x, x], axis=1).shape == torch.cat((x, x), dim=1).shape == (2, 6)
    for name in ("mean", "sum", "var", "std", "argmax"):
        assert getattr(x, name)(dim=1, keepdim=True).shape == getattr(torch, name)(x, axis=1, keepdims=True).shape
    assert torch.equal(x.var(dim=1, unbiased=False), x.var(1, correction=0))
    image = torch.ones(1, 1, 4, 4)
    up = nn.functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False, antialias=False)
    assert up.shape == (1, 1, 8, 8)
    q = torch.ones(1, 2, 3, 4)
    nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=None, dropout_p=0.0, is_causal=True, scale=0.5)
    y = (x ** 2).sum()
    torch.autograd.grad(outputs=y, inputs=x, grad_outputs=torch.ones_like(y), create_graph=True, retain_graph=True,
                        only_inputs=True, allow_unused=True)
    y.backward(gradient=torch.ones(()), retain_graph=True, create_graph=False)


def test_keywords_of_training(tmp_path):
    net = nn.Linear(2, 1)
    torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, foreach=True,
                     fused=None, amsgrad=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    optimizer.zero_grad(set_to_none=True)
    net.load_state_dict(net.state_dict(), strict=True, assign=True)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", map_location="cpu", weights_only=True, mmap=False)
    assert torch.equal(state["weight"], net.weight)
    data = torch.utils.data.TensorDataset(torch.arange(6.0))
    loader = torch.utils.data.DataLoader(
        data, batch_size=2, shuffle=False, num_workers=2, drop_last=True, collate_fn=lambda rows: len(rows),
        sampler=torch.utils.data.SequentialSampler(data), pin_memory=True, persistent_workers=True,
        worker_init_fn=lambda i: None, generator=torch.Generator())
    assert list(loader) == [2, 2, 2]
    assert torch.compile(net, backend="inductor", mode="max-autotune", fullgraph=True) is net


# -- python -m minitorch_bn run ----------------------------------------------------------------------------------------

def run(folder, *arguments, code=0):
    return python("-m", "minitorch_bn", "run", *arguments, cwd=folder, code=code)


def test_run_is_like_python(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "near.py").write_text("x = 1")
    script = tmp_path / "sub" / "script.py"
    script.write_text("import sys, near, torch\nprint(__name__, __file__, sys.path[0], sys.argv, __spec__, near.x)\n"
                      "print(torch.__name__)\nsys.exit(3)")
    ours = run(tmp_path, "sub/script.py", "-m", "a b", code=3)[0].splitlines()
    script.write_text(script.read_text().replace("torch", "math"))
    theirs = python("sub/script.py", "-m", "a b", cwd=tmp_path, code=3)[0].splitlines()
    assert ours[0] == theirs[0] and ours[1] == "minitorch_bn"


@pytest.mark.parametrize("program", ["def f():\n    1 / 0\nf()", "print(1", "raise KeyboardInterrupt",
                                     "import sys; sys.exit('no')", "import nothing_of_the_name",
                                     "try:\n    {}[1]\nexcept KeyError as e:\n    raise ValueError('x') from e"])
def test_run_reports_errors_as_python_does(tmp_path, program):
    (tmp_path / "script.py").write_text(program)
    theirs = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert theirs.returncode
    assert run(tmp_path, "script.py", code=theirs.returncode)[1] == theirs.stderr


def test_run_module_folder_and_nothing(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import sys, torch\nprint(__name__, __package__, sys.argv[1:], __spec__.name)")
    assert run(tmp_path, "-m", "package", "a")[0].split() == ["__main__", "package", "['a']", "package.__main__"]
    (package / "__main__.py").write_text("import sys, torch\nprint(sys.path[0], sys.argv)")
    assert run(tmp_path, "package", "a")[0] == f"{package.name} ['package', 'a']\n"
    assert "can't open file" in run(tmp_path, "nothing.py", code=2)[1]
    assert "No module named nothing" in run(tmp_path, "-m", "nothing", code=1)[1]
    assert python("-m", "minitorch_bn", code=2)[1].startswith("usage:")
    assert "threads" in python("-m", "minitorch_bn", "info")[0]


WORKERS = """
import os
import torch
import torch.multiprocessing as mp

def child(i, n):
    assert torch.__name__ == "minitorch_bn"
    os.write(1, f"child {i + n}\\n".encode())  # at once, not interleaved with others

def fails(i):
    raise ValueError("of a child")

def write(x):
    x.fill_(7)

class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return torch.tensor(i * i)

if __name__ == "__main__":
    mp.spawn(child, args=(3,), nprocs=2)
    mp.start_processes(child, args=(5,), nprocs=1, start_method="forkserver")
    try:
        mp.spawn(fails, nprocs=1)
    except mp.ProcessRaisedException as error:
        print("of a child" in str(error))
    shared = torch.zeros(2).share_memory_()
    process = mp.get_context("fork").Process(target=write, args=(shared,))
    process.start()
    process.join()
    print(shared.tolist(), shared.is_shared())
    print([batch.tolist() for batch in torch.utils.data.DataLoader(Squares(), batch_size=2, num_workers=2)])
"""


def test_child_processes_find_torch(tmp_path):
    (tmp_path / "script.py").write_text(WORKERS)
    lines = run(tmp_path, "script.py")[0].splitlines()
    assert sorted(lines[:3]) == ["child 3", "child 4", "child 5"]
    assert lines[3:] == ["True", "[7.0, 7.0] True", "[[0, 1], [4, 9]]"]
