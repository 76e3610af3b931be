"""torch.profiler: a row for each operation of a training loop, times that add up, a trace that nests, nothing left."""
import gzip
import json
import threading
import time
import types

import pytest

import minitorch_bn as torch
from minitorch_bn import nn, profiler
from minitorch_bn.nn import functional as F
from minitorch_bn.utils.data import DataLoader, TensorDataset

STEPS = 3


def make_training():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(8 * 16, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(4, 3, 8, 8), torch.randint(10, (4,))

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y) + (x @ x).sum() * 0
        loss.backward()
        optimizer.step()
        return loss
    return step, net


def everything():
    """All that a profile exchanges: what is in the modules, in Tensor and in the classes of layers."""
    spaces = [torch, torch.ops, F, torch.Tensor, torch.optim.Optimizer, torch.utils.data.dataloader._BaseDataLoaderIter,
              nn.Conv2d, nn.MaxPool2d, nn.recurrent]
    return [{name: value.__func__ if isinstance(value, staticmethod) else value for name, value in vars(space).items()
             if isinstance(value, (types.FunctionType, staticmethod)) or "function" in type(value).__name__.lower()}
            for space in spaces]


def counts(profile):
    return {row.key: row.count for row in profile.key_averages()}


@pytest.fixture
def profiled():
    step, net = make_training()
    step()
    start = time.perf_counter_ns()
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU], record_shapes=True) as p:
        start = time.perf_counter_ns()
        for _ in range(STEPS):
            step()
        wall = (time.perf_counter_ns() - start) / 1000
    return p, wall, net


def test_each_operation_of_a_training_loop_has_its_row(profiled):
    p, _, net = profiled
    found = counts(p)
    for name in ("conv2d", "batch_norm", "relu", "max_pool2d", "flatten", "linear", "cross_entropy", "matmul", "add",
                 "mul"):
        assert found[f"aten::{name}"] == STEPS, name
    for name in ("Convolution", "NativeBatchNorm", "Addmm", "NllLoss", "Add"):
        assert any(key.startswith(name) and key.endswith("Backward0") for key in found), (name, found)
    assert found["Optimizer.step#SGD.step"] == found["Optimizer.zero_grad#SGD.zero_grad"] == STEPS
    assert found["torch::autograd::AccumulateGrad"] == STEPS * len(list(net.parameters()))


def test_times_add_up(profiled):
    p, wall, _ = profiled
    rows, events = p.key_averages(), p.events()
    assert 0 < rows.self_cpu_time_total <= wall
    assert rows.self_cpu_time_total == pytest.approx(sum(e.cpu_time_total for e in events if e.cpu_parent is None))
    assert all(0 <= row.self_cpu_time_total <= row.cpu_time_total + 1e-6 for row in rows)
    assert rows.total_average().count == len(events) == sum(row.count for row in rows)
    step = next(row for row in rows if row.key == "Optimizer.step#SGD.step")
    assert step.self_cpu_time_total < step.cpu_time_total == pytest.approx(step.cpu_time * step.count)


def test_rows_by_shape(profiled):
    p, *_ = profiled
    rows = {row.key: row.input_shapes for row in p.key_averages(group_by_input_shape=True)}
    assert rows["aten::conv2d"][:3] == [[4, 3, 8, 8], [8, 3, 3, 3], [8]]
    with profiler.profile(record_shapes=True) as p:
        for size in (3, 3, 5):
            torch.cat([torch.ones(size), torch.ones(1)]) + 1
    rows = p.key_averages(group_by_input_shape=True)
    assert [(row.input_shapes, row.count) for row in rows if row.key == "aten::add"] == [([[4], []], 2), ([[6], []], 1)]
    assert [row.input_shapes for row in rows if row.key == "aten::cat"] == [[[[3], [1]]], [[[5], [1]]]]
    assert "[[[5], [1]]]" in rows.table()


def test_the_table_reads_as_pytorch_writes_it(profiled):
    p, *_ = profiled
    lines = p.key_averages().table(sort_by="self_cpu_time_total", row_limit=4).splitlines()
    assert lines[0] == lines[2] == lines[7] and set(lines[0]) == {"-", " "}
    for title in ("Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls"):
        assert title in lines[1]
    assert lines[8].startswith("Self CPU time total: ")
    assert len({len(line) for line in lines[:8]}) == 1
    shares = [float(line.split()[1].rstrip("%")) for line in lines[3:7]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 100.1
    assert p.key_averages().table(sort_by="cuda_time_total", row_limit=-1).count("\n") == len(p.key_averages()) + 5
    with pytest.raises(AttributeError):
        p.key_averages().table(sort_by="beauty")


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_the_trace_nests(profiled, tmp_path, name):
    p, *_ = profiled
    p.export_chrome_trace(str(tmp_path / name))
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "rt") as file:
        events = json.load(file)["traceEvents"]
    assert all(event["ph"] == "X" and event["dur"] >= 0 and event["pid"] and event["tid"] for event in events)
    assert len(events) == len(p.events())
    inside = 0
    for i, a in enumerate(events):
        for b in events[i + 1:]:
            assert a["ts"] <= b["ts"] + 1e-3
            if b["ts"] < a["ts"] + a["dur"] - 1e-3:  # begins within a: ends within it
                assert b["ts"] + b["dur"] <= a["ts"] + a["dur"] + 1e-3, (a, b)
                inside += 1
    assert inside >= STEPS  # the kernel of an optimizer's step lies in the step


def test_everything_is_undone():
    before = everything()
    for error in (None, ZeroDivisionError):
        try:
            with profiler.profile() as p:
                assert everything() != before
                torch.ones(2) @ torch.ones(2)
                if error:
                    raise error
        except ZeroDivisionError:
            pass
        assert everything() == before and not profiler._undo and not profiler._recording
        assert counts(p)["aten::matmul"] == 1
        seen = len(p.events())
        torch.ones(3) + torch.ones(3)
        assert len(p.events()) == seen


def test_an_operation_that_fails_leaves_no_trace():
    with profiler.profile() as p:
        with pytest.raises(RuntimeError):
            torch.ones(2) + torch.ones(3)
        with pytest.raises(RuntimeError):
            torch.ones(2, 3) @ torch.ones(2, 3)
        torch.ones(2).neg()
    assert counts(p) == {"aten::ones": 5, "aten::neg": 1}


def test_profiles_within_profiles():
    with profiler.profile() as outer:
        torch.ones(2).exp()
        with profiler.profile() as inner, profiler.record_function("block"):
            torch.ones(2).exp()
        torch.ones(2).exp()
    assert counts(inner) == {"block": 1, "aten::ones": 1, "aten::exp": 1}
    assert counts(outer) == {"block": 1, "aten::ones": 3, "aten::exp": 3}


def test_threads_are_told_apart():
    def work():
        for _ in range(200):
            (torch.ones(4, requires_grad=True) * 2).sum().backward()
    with profiler.profile() as p:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts(p)["MulBackward0"] == counts(p)["aten::sum"] == 800
    assert len({event.thread for event in p.events()}) >= 1
    assert all(event.cpu_parent is None or event.cpu_parent.thread == event.thread for event in p.events())


def test_only_the_steps_of_the_schedule_are_recorded():
    saved = []
    before = everything()
    with profiler.profile(schedule=profiler.schedule(wait=2, warmup=1, active=2, repeat=1),
                          on_trace_ready=lambda p: saved.append(counts(p))) as p:
        for i in range(8):
            assert (everything() != before) == (i in (3, 4))
            torch.ones(2).exp()
            p.step()
    assert saved == [{"ProfilerStep*": 2, "aten::ones": 2, "aten::exp": 2}] and counts(p) == saved[0]
    with profiler.profile(schedule=lambda step: profiler.ProfilerAction.NONE) as p:
        torch.ones(2).exp()
    assert not p.events() and p.key_averages().table()


def test_results_are_those_without_a_profile():
    losses = []
    for on in (False, True):
        step, net = make_training()
        with torch.autograd.profiler.profile(enabled=on):
            losses.append([step().item() for _ in range(4)] + [p.sum().item() for p in net.parameters()])
    assert losses[0] == losses[1]


def test_other_rows():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    lstm, x = nn.LSTM(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    with profiler.profile() as p:
        Twice.apply(lstm(x)[0]).sum().backward()
        x.detach()[0] = 1
        for _ in DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=2):
            pass
    found = counts(p)
    assert found["aten::lstm"] == found["TwiceBackward"] == found["aten::index_put_"] == 1
    assert found["enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"] == 2
