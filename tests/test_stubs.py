"""What scripts ask of devices, compilers and other processes: answered honestly, as a CPU build of PyTorch would."""
import importlib
import json
import warnings

import pytest

import minitorch_bn as torch
from minitorch_bn import amp, nn, profiler


@pytest.mark.parametrize("call, error, message", [
    (lambda: torch.zeros(1, device="cuda"), AssertionError, "no CUDA device"),
    (lambda: torch.zeros(1).to("cuda:0"), AssertionError, "no CUDA device"),
    (lambda: torch.zeros(1).to(torch.device("cuda")), AssertionError, "no CUDA device"),
    (lambda: torch.zeros(1).cuda(), AssertionError, "no CUDA device"),
    (lambda: nn.Linear(1, 1).cuda(), AssertionError, "no CUDA device"),
    (lambda: nn.Linear(1, 1).to("mps"), RuntimeError, "mps"),
    (lambda: torch.set_default_device("cuda"), AssertionError, "no CUDA device"),
    (lambda: torch.device("cuda").__enter__(), AssertionError, "no CUDA device"),
    (lambda: torch.device("gpu"), RuntimeError, "device type"),
    (lambda: torch.device("cuda:x"), RuntimeError, "Invalid device string"),
    (lambda: torch.cuda.current_device(), AssertionError, "no CUDA device"),
    (lambda: torch.cuda.get_device_name(0), AssertionError, "no CUDA device"),
    (lambda: torch.cuda.synchronize(), AssertionError, "no CUDA device"),
    (lambda: torch.cuda.set_device(0), AssertionError, "no CUDA device"),
    (lambda: torch.cuda.Event(enable_timing=True), RuntimeError, "no CUDA device"),
    (lambda: torch.cuda.Stream(), RuntimeError, "no CUDA device"),
    (lambda: torch.cuda.FloatTensor(2), TypeError, "no CUDA device"),
    (lambda: torch.set_default_tensor_type("torch.cuda.FloatTensor"), TypeError, "no CUDA device"),
    (lambda: torch.set_default_tensor_type(torch.LongTensor), TypeError, "floating-point"),
    (lambda: torch.mps.synchronize(), RuntimeError, "no MPS device"),
    (lambda: torch.xpu.synchronize(), AssertionError, "no XPU device"),
    (lambda: torch.accelerator.synchronize(), RuntimeError, "no accelerator"),
    (lambda: torch.distributed.init_process_group("gloo"), RuntimeError, "not supported"),
    (lambda: torch.distributed.get_rank(), ValueError, "has not been initialized"),
    (lambda: torch.distributed.all_reduce(torch.ones(1)), ValueError, "has not been initialized"),
    (lambda: nn.parallel.DistributedDataParallel(nn.Linear(1, 1)), ValueError, "has not been initialized"),
    (lambda: torch.jit.save(nn.Linear(1, 1), "x.pt"), RuntimeError, "TorchScript"),
    (lambda: torch.jit.load("x.pt"), RuntimeError, "TorchScript"),
    (lambda: torch.onnx.export(nn.Linear(1, 1), torch.ones(1), "x.onnx"), AttributeError, "graphs are not captured"),
    (lambda: torch.autocast("abacus"), RuntimeError, "device type"),
    (lambda: torch.autocast(), TypeError, "device_type"),
    (lambda: torch.FloatTensor(torch.ones(2).long()), TypeError, "int64"),
    (lambda: torch.FloatTensor(3.0), TypeError, "must be a sequence"),
    (lambda: torch.Tensor(None), TypeError, "must be a sequence"),
    (lambda: torch.multiprocessing.set_sharing_strategy("none"), AssertionError, "none"),
    (lambda: torch._foreach_add([torch.ones(1)], [torch.ones(1)] * 2), RuntimeError, "same length"),
    (lambda: torch._assert(False, "so"), AssertionError, "so"),
])
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_questions_about_devices():
    for module in (torch.cuda, torch.mps, torch.xpu, torch.accelerator):
        assert module.is_available() is False and module.device_count() == 0
    assert torch.accelerator.current_accelerator() is None and torch.cpu.is_available()
    assert torch.cuda.memory_allocated() == torch.cuda.max_memory_reserved() == 0 and torch.cuda.memory_stats() == {}
    assert torch.cuda.get_rng_state_all() == [] and not torch.cuda.is_initialized()
    torch.cuda.manual_seed(0), torch.cuda.manual_seed_all(0), torch.cuda.empty_cache(), torch.mps.manual_seed(0)
    torch.cuda.set_device(-1), torch.cuda.reset_peak_memory_stats(), torch.xpu.empty_cache()
    with torch.cuda.stream(None), torch.cuda.device(-1), torch.cuda.nvtx.range("name"), torch.device("cpu"):
        pass
    assert torch.device("cuda", 1) == torch.device("cuda:1") and torch.device("cuda").type == "cuda"
    assert torch.get_default_device() == torch.device("cpu")
    torch.set_default_device("cpu")
    x = torch.ones(2)
    assert x.to("cpu") is x and x.pin_memory() is x and x.to(device=torch.device("cpu"), non_blocking=True) is x


def test_backends():
    cudnn = importlib.import_module("minitorch_bn.backends.cudnn")
    assert cudnn is torch.backends.cudnn and cudnn.version() is None and not cudnn.is_available()
    assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == (True, False, False)
    with cudnn.flags(enabled=False, benchmark=True):
        assert cudnn.benchmark and not cudnn.enabled
    assert cudnn.enabled and not cudnn.benchmark
    torch.backends.cuda.matmul.allow_tf32 = False
    with torch.backends.cuda.sdp_kernel(enable_flash=False), nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        pass
    for name in ("mps", "mkl", "mkldnn", "opt_einsum"):
        assert getattr(torch.backends, name).is_available() is False
    assert torch.backends.cpu.get_cpu_capability() in ("generic", "v3", "v4", "neon")


def test_deterministic_and_precision_switches():
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_float32_matmul_precision("high")
    torch.set_deterministic_debug_mode("warn")
    assert torch.are_deterministic_algorithms_enabled() and torch.get_float32_matmul_precision() == "highest"
    assert torch.set_flush_denormal(True) is False and torch.get_num_interop_threads() == 1


# -- mixed precision ---------------------------------------------------------------------------------------------------

def test_autocast_says_once_that_it_computes_in_float32(monkeypatch):
    monkeypatch.setattr(amp, "_told", set())
    with pytest.warns(UserWarning, match="computes in float32, not in torch.bfloat16") as caught:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.amp.autocast(device_type="cpu", dtype=torch.bfloat16), torch.autocast("cpu", enabled=False):
            assert not torch.is_autocast_enabled()
    with pytest.warns(UserWarning, match="no device of type 'cuda'"):
        torch.cuda.amp.autocast(enabled=True, dtype=torch.float16)
    assert torch.autocast("cpu", enabled=False)(lambda x: x + 1)(1) == 2


@pytest.mark.parametrize("make", [torch.cuda.amp.GradScaler, torch.GradScaler], ids=["cuda.amp", "top"])
def test_grad_scaler_of_another_device_is_disabled(make, monkeypatch):
    monkeypatch.setattr(amp, "_told", set())
    with pytest.warns(UserWarning, match="Disabling"):
        scaler = make()
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scaler.scale((weight * 3).sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert weight.item() == -0.5 and scaler.get_scale() == 1 and not scaler.is_enabled()
    scaler.load_state_dict(scaler.state_dict())


def test_grad_scaler_of_the_cpu():
    """Steps as without it, but for those whose gradients are not finite; their scale is halved."""
    scaler = torch.amp.GradScaler("cpu", growth_interval=2)
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    with pytest.raises(AssertionError, match="_scale is None"):
        scaler.step(optimizer)
    scales = []
    for factor in (3.0, float("inf"), 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.unscale_(optimizer)
        assert weight.grad.item() == factor
        with pytest.raises(RuntimeError, match="already been called"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    assert weight.item() == -1.5 and scales == [65536, 32768, 32768, 65536]
    assert [y.item() for y in scaler.scale([weight, weight * 2])] == [-1.5 * 65536, -3 * 65536]
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() and list(other.state_dict())[-1] == "_growth_tracker"


# -- compilers ---------------------------------------------------------------------------------------------------------

def test_compiling_returns_what_it_is_given(tmp_path):
    def f(x):
        return x + 1
    net = nn.Linear(2, 1)
    assert torch.compile(f) is f and torch.compile(mode="max-autotune")(f) is f and torch.compile(net) is net
    assert torch.jit.script(net) is net and torch.jit.script(f) is f and torch.jit.trace(f, torch.ones(1)) is f
    assert torch.jit.ignore(f) is f and torch.jit.ignore(drop=True)(f) is f and torch.jit.export(f) is f
    assert not torch.jit.is_scripting() and not torch.jit.is_tracing() and not torch.compiler.is_compiling()
    with pytest.raises(RuntimeError):  # tracing runs it, so that what cannot work shows
        torch.jit.trace(net, torch.ones(1, 7))
    assert torch._dynamo.disable(f) is f and torch.compiler.disable(recursive=False)(f) is f
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.reset()
    assert not isinstance(net, torch.jit.ScriptModule)


def test_data_parallel_keeps_the_keys_of_pytorch():
    net = nn.Linear(2, 1)
    parallel = nn.DataParallel(net, device_ids=[0])
    assert list(parallel.state_dict()) == ["module.weight", "module.bias"] and parallel.module is net
    assert torch.equal(parallel(torch.ones(3, 2)), net(torch.ones(3, 2)))
    state = parallel.state_dict()
    nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["weight", "bias"] and list(state._metadata) == [""]


def test_profiler_times_marked_blocks(tmp_path):
    with profiler.profile() as p:
        torch.autograd.profiler.record_function("one")(lambda: None)()
    p.export_chrome_trace(str(tmp_path / "trace.json"))
    (event,) = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert event["name"] == "one" and event["dur"] >= 0
    profiler.tensorboard_trace_handler(str(tmp_path / "folder"))(p)
    assert len(list((tmp_path / "folder").iterdir())) == 1


def _fails(i):
    raise ValueError("of a child")


def _returns(i):
    pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking beside threads
def test_processes_are_joined_however_fast_they_end():
    mp = torch.multiprocessing
    for _ in range(5):
        assert mp.start_processes(_returns, nprocs=2, start_method="fork") is None
        with pytest.raises(mp.ProcessRaisedException, match="of a child") as caught:
            mp.start_processes(_fails, nprocs=2, start_method="fork")
        assert caught.value.error_index in (0, 1)
    context = mp.start_processes(_returns, nprocs=1, join=False, start_method="fork")
    context.processes[0].join()
    assert context.join() and len(context.pids()) == 1


# -- legacy types and storages -----------------------------------------------------------------------------------------

def test_tensor_types():
    assert torch.FloatTensor(2, 3).shape == torch.FloatTensor(torch.Size([2, 3])).shape == (2, 3)
    assert torch.LongTensor([1, 2]).dtype == torch.int64 and torch.FloatTensor((1, 2)).tolist() == [1, 2]
    assert torch.FloatTensor().shape == (0,) and torch.ByteTensor([True]).dtype == torch.uint8
    x = torch.ones(2)
    assert torch.FloatTensor(x).data_ptr() == torch.Tensor(x).data_ptr() == x.data_ptr()
    assert isinstance(x, torch.FloatTensor) and not isinstance(x, torch.LongTensor | torch.cuda.FloatTensor)
    assert isinstance(nn.Parameter(x), torch.FloatTensor) and not isinstance(3, torch.FloatTensor)
    assert x.type() == "torch.FloatTensor" == torch.typename(x) == torch.typename(torch.FloatTensor)
    assert x.type(torch.DoubleTensor).dtype == x.type("torch.DoubleTensor").dtype == torch.float64
    assert torch.typename(3) == "int" and torch.typename(torch.Size).startswith("torch.")
    assert repr(torch.HalfTensor) == "<class 'torch.HalfTensor'>"


def test_new_and_default_tensor_type():
    x = torch.ones(2, dtype=torch.float64)
    assert x.new(2, 3).shape == (2, 3) and x.new([1, 2]).dtype == torch.float64 and x.new().shape == (0,)
    assert torch.equal(x.new(x), x)
    try:
        torch.set_default_tensor_type(torch.DoubleTensor)
        assert torch.ones(1).dtype == torch.float64
    finally:
        torch.set_default_tensor_type("torch.FloatTensor")
    assert torch.ones(1).dtype == torch.float32


def test_storages():
    x = torch.arange(6.0).reshape(2, 3)
    storage = x[1:].storage()
    assert len(storage) == storage.size() == 6 and storage.nbytes() == 24 and storage.tolist() == list(range(6))
    storage[0] = 9
    assert x[0, 0] == 9 and storage[0] == 9 and list(storage[1:3]) == [1, 2]
    assert x.untyped_storage().nbytes() == x.untyped_storage().size() == len(x.untyped_storage()) == 24
    assert x.storage().data_ptr() == x.untyped_storage().data_ptr() == x.data_ptr()
    assert torch.is_storage(storage) and torch.is_storage(x.untyped_storage()) and not torch.is_storage(x)
    assert x.storage_type() is torch.FloatStorage and torch.LongStorage([1, 2]).dtype == torch.int64
    assert torch.FloatStorage(3).fill_(2).tolist() == [2, 2, 2] and torch.Tensor(storage).shape == (6,)
    assert str(torch.FloatStorage([1, 2])).endswith("[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of "
                                                    "size 2]")


def test_share_memory():
    x = torch.arange(3.0).requires_grad_()
    assert not x.is_shared() and x.share_memory_() is x and x.is_shared() and x.tolist() == [0, 1, 2]
    assert x.requires_grad and x.is_leaf and x.share_memory_().is_shared()
    net = nn.Linear(2, 2).share_memory()
    assert net.weight.is_shared() and isinstance(net.weight, nn.Parameter)
    assert torch.ones(0).share_memory_().shape == (0,)


def test_foreach():
    xs, ys = [torch.ones(2), torch.ones(3) * 4], [torch.ones(2) * 2, torch.ones(3)]
    assert [x.tolist() for x in torch._foreach_add(xs, ys, alpha=2)] == [[5, 5], [6, 6, 6]]
    assert [x.tolist() for x in torch._foreach_mul(xs, [2, 3])] == [[2, 2], [12, 12, 12]]
    assert [x.tolist() for x in torch._foreach_addcdiv(xs, ys, ys, 3)] == [[4, 4], [7, 7, 7]]
    assert [x.tolist() for x in torch._foreach_addcmul(xs, ys, ys, scalars=[1, 2])] == [[5, 5], [6, 6, 6]]
    assert [x.tolist() for x in torch._foreach_maximum(xs, 2)] == [[2, 2], [4, 4, 4]]
    assert [x.tolist() for x in torch._foreach_maximum(xs, ys)] == [[2, 2], [4, 4, 4]]
    assert [x.item() for x in torch._foreach_norm(xs, 1)] == [2, 12]
    assert torch._foreach_sqrt_(xs) is None and [x.tolist() for x in xs] == [[1, 1], [2, 2, 2]]
    torch._foreach_zero_(xs)
    torch._foreach_copy_(xs, ys)
    torch._foreach_lerp_(xs, [y * 3 for y in ys], 0.5)
    assert [x.tolist() for x in xs] == [[4, 4], [2, 2, 2]]
    torch._foreach_div_(xs, 2)
    torch._foreach_maximum_(xs, 1.5)
    assert [x.tolist() for x in xs] == [[2, 2], [1.5, 1.5, 1.5]]
    assert [x.tolist() for x in torch._foreach_pow(2, [torch.ones(1) * 3])] == [[8]]


# -- functions of the top level that nn.functional has in another form -------------------------------------------------

def test_top_level_forms_of_functional():
    F = nn.functional
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    mean, var, weight, bias = torch.zeros(3), torch.ones(3), torch.randn(3), torch.randn(3)
    assert torch.equal(torch.batch_norm(x, weight, bias, mean.clone(), var.clone(), True, 0.1, 1e-5, False),
                       F.batch_norm(x, mean.clone(), var.clone(), weight, bias, True, 0.1, 1e-5))
    assert torch.equal(torch.instance_norm(x[None], None, None, None, None, True, 0.1, 1e-5), F.instance_norm(x[None]))
    assert torch.equal(torch.layer_norm(x, (3,), weight, bias, 1e-5, False), F.layer_norm(x, (3,), weight, bias))
    assert torch.equal(torch.group_norm(x, 1, weight, bias), F.group_norm(x, 1, weight, bias))
    assert torch.equal(torch.selu(x), F.selu(x)) and torch.equal(x.prelu(weight), F.prelu(x, weight))
    for i, reduction in enumerate(("none", "mean", "sum")):
        target = torch.ones(4)
        for name, arguments in {"cosine_embedding_loss": (x, y, target), "margin_ranking_loss": (x, y, y.sign()),
                                "hinge_embedding_loss": (x, y.sign()), "triplet_margin_loss": (x, y, x * 2),
                                "binary_cross_entropy_with_logits": (x, y.sigmoid())}.items():
            assert torch.equal(getattr(torch, name)(*arguments, reduction=i),
                               getattr(F, name)(*arguments, reduction=reduction)), name
    assert torch.equal(torch.kl_div(x, y.abs(), 2), F.kl_div(x, y.abs(), reduction="sum"))
    rates = torch.poisson_nll_loss(x, y.abs(), True, False, 1e-8, 1)
    assert torch.equal(rates, F.poisson_nll_loss(x, y.abs()))
    assert torch.equal(torch.alpha_dropout(x, 0.5, False), x) and torch.equal(torch.feature_dropout(x, 0.5, False), x)
    dropped = torch.feature_dropout(torch.ones(50, 4, 5), 0.25, True)
    assert set(dropped.unique().tolist()) == {0.0, dropped.max().item()} and (dropped.std(2) == 0).all()


def test_asarray_shares_when_it_can():
    import numpy as np
    array, x = np.ones(3), torch.ones(3, requires_grad=True)
    assert torch.asarray(array).data_ptr() == array.__array_interface__["data"][0] == torch.asarray(
        array, copy=False).data_ptr()
    assert torch.asarray(array, copy=True).data_ptr() != array.__array_interface__["data"][0]
    assert not torch.asarray(x).requires_grad and torch.asarray(x, requires_grad=True).requires_grad
    assert torch.asarray([1, 2], dtype=torch.float64).tolist() == [1.0, 2.0]
    for obj, dtype in ((array, torch.float32), ([1.0], None)):
        with pytest.raises(ValueError, match="needs a copy"):
            torch.asarray(obj, dtype=dtype, copy=False)


def test_small_questions():
    x = torch.ones(2, 3)
    with pytest.warns(UserWarning, match="deprecated"):
        assert torch.range(1, 2, 0.5).tolist() == [1.0, 1.5, 2.0]
    assert torch.is_nonzero(torch.ones(1)) and not torch.zeros(1).is_nonzero() and torch.is_same_size(x, x + 1)
    for wrong in (x, torch.ones(0)):
        with pytest.raises(RuntimeError, match="ambiguous"):
            torch.is_nonzero(wrong)
    assert torch.adjoint(x).shape == (3, 2) and torch.get_device(x) == -1 and not torch.is_inference(x)
    assert not torch.is_anomaly_enabled()
    with torch.autograd.set_detect_anomaly(True):
        assert torch.is_anomaly_enabled()
    assert torch.clamp_(torch.ones(1) * 3, max=2).item() == 2
    assert torch.nan_to_num_(torch.ones(1) * torch.nan).item() == 0
