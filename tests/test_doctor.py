"""The doctor finds each planted fault and nothing else, calls healthy networks healthy, and leaves no trace."""

import argparse
import copy
import json
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from doctor_networks import PAIRS, case, images, loader, mlp, settle, table
from hypothesis import given
from hypothesis import strategies as st

import minitorch_bn as mt
from minitorch_bn import lab, nn
from minitorch_bn.lab.doctor import RULES, CouldNotRun, command
from minitorch_bn.lab.doctor.evidence import constant_share


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", RULES)
def test_finds_the_planted_fault_and_nothing_else(rule, seed):
    mt.manual_seed(seed)
    report = lab.doctor(**PAIRS[rule](True))
    assert report.rules == [rule] and not report.notes and report.exit_status == 1, report
    for finding in report:
        below = rule in ("BN101", "BN105", "BN107", "BN112", "BN113", "BN120")
        assert (finding.measured < finding.threshold) is below  # what was measured is beyond what it was held against
        assert finding.why and finding.advice and finding.path is not None
    assert f"{rule} " in str(report) and "1 finding in" in str(report)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", RULES)
def test_calls_the_nearly_faulty_network_healthy(rule, seed):
    mt.manual_seed(seed)
    report = lab.doctor(**PAIRS[rule](False))
    assert not report.rules and not report.notes and report.exit_status == 0, report


class Block(nn.Module):
    def __init__(self, width, bias):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=bias), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x):
        return (x + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()


def resnet(faults):
    """A ResNet of four blocks, with three faults or none: a bias before batch norm, decay of all, sorted classes."""
    blocks = [Block(8, bias=faults and i == 2) for i in range(4)]
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), *blocks,
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    x, y = images(256)
    order = np.argsort(y.numpy(), kind="stable")
    data = loader((x[order], y[order]), shuffle=not faults)
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = model.parameters() if faults else [{"params": [p for p in model.parameters() if p.dim() > 1]},
                                                {"params": vectors, "weight_decay": 0.0}]
    return model, data, nn.CrossEntropyLoss(), mt.optim.SGD(groups, lr=0.1, weight_decay=5e-4)


def test_three_faults_of_a_resnet_are_named_and_no_other():
    mt.manual_seed(0)
    report = lab.doctor(*resnet(True))
    assert report.rules == ["BN107", "BN108", "BN115"], report
    assert report.of("BN107")[0].path == "5.conv1" and len(report.of("BN107")) == 1
    assert lab.doctor(*resnet(False)).rules == []


def everything(model, data, optimizer):
    """All that must be the same before and after, in a form that compares to the bit."""
    def raw(t):
        return None if t is None else (t.numpy().tobytes(), t._version, t.dtype, t.requires_grad)

    return pickle.dumps([
        [(name, raw(t.detach()), raw(t.grad)) for group in (model.named_parameters(), model.named_buffers())
         for name, t in group],
        [(name, m.training, sorted(m.__dict__)) for name, m in model.named_modules()],
        [raw(t) for state in optimizer.state.values() for t in state.values() if isinstance(t, mt.Tensor)],
        [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups],
        mt.get_rng_state().tolist(), random.getstate(), np.random.get_state(),
        data.generator.get_state().tolist(), sorted(data.__dict__)])


def test_leaves_everything_as_it_was():
    mt.manual_seed(0)
    data = loader(table())
    model = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4))
    optimizer = mt.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-2)
    for x, y in data:
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(x), y).backward()
        optimizer.step()
    model[1].eval()  # modes differ
    gradients = [p.grad for p in model.parameters()]
    kept = model(x)  # a graph from before: no parameter may have been written to
    before = everything(model, data, optimizer)
    report = lab.doctor(model, data, nn.CrossEntropyLoss(), optimizer)
    assert everything(model, data, optimizer) == before
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients))
    kept.sum().backward()
    expected = [x.tolist() for x, _ in copy.deepcopy(data)]
    lab.doctor(model, data, nn.CrossEntropyLoss())
    assert [x.tolist() for x, _ in data] == expected  # the next epoch is the one that would have come
    assert "BN108" in report.rules


def test_an_epoch_that_is_under_way_goes_on():
    """Workers that a loader keeps are not taken from it, and those of the probe end with it."""
    data = loader(table(512), num_workers=2, persistent_workers=True)
    expected = [x.tolist() for x, _ in copy.deepcopy(data)]
    epoch = iter(data)
    seen = [next(epoch)[0].tolist()]
    workers = set(multiprocessing.active_children())
    assert lab.doctor(mlp(), data).rules == []
    assert set(multiprocessing.active_children()) <= workers and data._iterator is epoch
    while (batch := next(epoch, None)) is not None:
        seen.append(batch[0].tolist())
    assert seen == expected
    epoch._shutdown_workers()


def test_leaves_everything_as_it_was_after_an_error():
    data, model = loader(table()), mlp()
    optimizer = mt.optim.SGD(model.parameters(), lr=0.1)
    before = everything(model, data, optimizer)

    def fails(output, target):
        np.random.rand(), random.random(), mt.rand(1)
        raise KeyError("lost")

    with pytest.raises(CouldNotRun, match="KeyError: 'lost'"):
        lab.doctor(model, data, fails, optimizer)
    assert everything(model, data, optimizer) == before


def test_attributes_that_a_forward_changes_are_put_back():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.count, self.body = 0, mlp()
            self.register_buffer("seen", mt.zeros(1))

        def forward(self, x):
            self.count += 1
            self.seen = self.seen + 1  # another tensor, not a write
            return self.body(x)

    model = Counting()
    buffer = model.seen
    lab.doctor(**case(model))
    assert model.count == 0 and model.seen is buffer and buffer.item() == 0


def test_one_value_per_channel_is_an_error_not_a_crash():
    report = lab.doctor(**case(mlp(), loader(table(8), 1)))
    assert [(f.rule, f.severity, f.measured) for f in report] == [("BN101", "error", 1.0)]
    report = lab.doctor(**case(mlp(), loader(table(65), 32)))
    assert [(f.rule, f.severity) for f in report] == [("BN112", "error")]


def test_notes_are_no_findings():
    report = lab.doctor(**case(mlp(), loader(table(), 16)))
    assert report.exit_status == 0 and {f.rule for f in report.notes} == {"BN101"}
    assert "88%" in str(report) and len(report.of("BN101")) == 2


def test_what_another_finding_explains_is_only_mentioned():
    data = loader(table(sort=True), shuffle=False)
    model = settle(mlp(norm=lambda width: nn.BatchNorm1d(width, momentum=0.4)), data)
    with mt.no_grad():
        model[1].running_mean.add_(1.0)
    report = lab.doctor(**case(model, data))
    assert report.rules == ["BN115"] and report.explained == {"BN102": "BN115"}
    assert "BN115 explains it" in str(report)


def test_ignore_and_bad_arguments():
    made = PAIRS["BN112"](True)
    assert not lab.doctor(**made, ignore=["BN112"]).rules
    with pytest.raises(ValueError, match="BN999"):
        lab.doctor(**made, ignore=["BN999"])
    with pytest.raises(CouldNotRun, match="iterator"):
        lab.doctor(made["model"], iter(made["loader"]))
    with pytest.raises(CouldNotRun, match="no batch"):
        lab.doctor(made["model"], [])
    with pytest.raises(CouldNotRun, match="RuntimeError"):
        lab.doctor(made["model"], [(mt.ones(4, 5), mt.zeros(4, dtype=mt.int64))])


def test_lazy_layers_are_refused_before_anything_is_run():
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    with pytest.raises(CouldNotRun, match="lazy"):
        lab.doctor(model, loader(table()))
    assert type(model[1]) is nn.LazyBatchNorm1d


def test_every_rule_has_its_section_and_its_row_in_the_docs():
    pages = Path(__file__).resolve().parent.parent / "docs" / "doctor"
    if not pages.exists():
        pytest.skip("needs the checkout")
    sections = "".join(page.read_text() for page in sorted(pages.glob("*.md")))
    for rule, (title, *_) in RULES.items():
        assert sections.count(f"## {rule}: {title}\n") == 1 and f"| {rule} | {title} |" in sections


def test_other_forms_of_batches():
    model = mlp()
    batches = [{"x": x, "label": y} for x, y in loader(table())]
    report = lab.doctor(model, batches, compute=lambda m, b: nn.functional.cross_entropy(m(b["x"]), b["label"]))
    assert report.rules == [] and report.facts["steps"] == 8
    settle(model, loader(table()))[1].running_mean += 3
    options = {"compute": lambda m, b: nn.functional.cross_entropy(m(b["x"]), b["label"])}
    report = lab.doctor(model, batches, **options)
    assert report.rules == ["BN102"] and report.fix() and lab.doctor(model, batches, **options).rules == []
    assert lab.doctor(model, [x for x, _ in loader(table())]).rules == []  # inputs alone: a random projection
    assert lab.doctor(nn.Linear(12, 4), loader(table())).rules == []  # no batch norm at all


@pytest.mark.parametrize("broken", ["half", "negative"])
def test_other_kinds_of_broken_statistics(broken):
    data = loader(table())
    model = settle(mlp(), data)
    if broken == "half":
        model[4].running_var = model[4].running_var.half()
        model[4].running_mean = model[4].running_mean.half()
    else:
        model[4].running_var[0] = -1.0
    report = lab.doctor(model, data)
    assert report.rules == ["BN117"], report
    report.fix()
    assert model[4].running_var.dtype is mt.float32 and lab.doctor(model, data).rules == []


def test_policies_of_batch_norm_are_respected():
    """Ghosts count for themselves, a mask leaves padding out, what is frozen or renormalized is no small batch."""
    data = loader(table(), 32)
    assert lab.doctor(mlp(norm=lambda n: nn.BatchNorm1d(n, ghost=4)), data).rules == ["BN101"]
    small = loader(table(), 4)
    assert lab.doctor(mlp(norm=lambda n: nn.BatchNorm1d(n, renorm=nn.Renorm())), small).rules == []
    model = settle(mlp(), data)
    nn.freeze_bn(model)
    assert lab.doctor(model.requires_grad_(False), [(x, y) for x, y in small]).rules == []
    one = [(x, y) for x, y in loader(table(8), 1)]
    assert lab.doctor(mlp(norm=lambda n: nn.BatchNorm1d(n, on_single="running")), one).of("BN101") == []
    last = nn.Sequential(nn.Linear(12, 24, bias=False), nn.BatchNormAct1d(24), nn.Linear(24, 4))
    assert lab.doctor(last, data).rules == []

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv1d(6, 8, 1, bias=False), nn.BatchNorm1d(8), nn.Linear(8, 2)

        def forward(self, x):
            y = self.norm(self.conv(x), mask=x[:, 0] != 0 if self.mask else None)
            return self.head(y.relu().mean(2))

    masked, padded_data = Masked(), PAIRS["BN114"](True)["loader"]
    for masked.mask, expected in (True, []), (False, ["BN114"]):
        assert lab.doctor(masked, padded_data).rules == expected


@given(st.integers(2, 12), st.integers(1, 5), st.integers(4, 20), st.integers(0, 2**32 - 1), st.booleans())
def test_padding_is_found_at_one_end_and_a_background_is_not(n, c, s, seed, start):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, c + 1, s))
    assert constant_share(values)[0] <= 1 / (n * s)  # any single position is its own most frequent vector
    lengths = rng.integers(1, s + 1, n)
    lengths[0] = s - 2  # the same vector twice at least
    values[np.broadcast_to(np.arange(s) >= lengths[:, None, None], values.shape)] = 0.5
    expected = 1 - lengths.mean() / s
    share, _ = constant_share(values[:, :, ::-1] if start else values)
    assert share == pytest.approx(expected, abs=1e-12)
    both = np.concatenate([values[:, :, ::-1], values], axis=2)  # the same at both ends
    assert constant_share(both)[0] == pytest.approx(0, abs=1e-12)


def test_exact_statistics_of_a_few_batches_are_not_immature():
    """Their count says that they are, and they are measured not to be."""
    data = loader(table())
    model = mlp()
    with mt.no_grad():
        model[1].weight.mul_(mt.rand(24) + 0.5)  # not new
        model[4].weight.mul_(mt.rand(24) + 0.5)
    nn.utils.recalibrate(model, data)
    assert int(model[1].num_batches_tracked) == 8 and lab.doctor(model, data).rules == []


def test_an_eps_of_another_library():
    model = mlp()
    model[4].eps = 1e-3
    with mt.no_grad():
        model[3].weight.mul_(0.05)
    assert [f.path for f in lab.doctor(**case(model)).of("BN118")] == ["4"]


REPAIRED = ["BN102", "BN103", "BN107", "BN108", "BN109", "BN117", "BN118"]


@pytest.mark.parametrize("rule", REPAIRED)
def test_repairs(rule):
    mt.manual_seed(0)
    made = PAIRS[rule](True)
    model = made["model"]
    x = next(iter(made.get("data") or made["loader"]))[0]
    output = copy.deepcopy(model).eval()(x)
    report = lab.doctor(**made)
    done = report.fix(rule)
    assert done and all(isinstance(text, str) for text in done)
    assert lab.doctor(**made).rules == []
    if rule in ("BN107", "BN108", "BN109", "BN118"):  # those repairs do not change what evaluation gives
        np.testing.assert_allclose(copy.deepcopy(model).eval()(x).detach().numpy(), output.detach().numpy(),
                                   rtol=1e-5, atol=1e-5)


def test_fix_without_names_repairs_all_that_is_safe():
    mt.manual_seed(0)
    made = resnet(True)
    report = lab.doctor(*made)
    report.fix()
    assert lab.doctor(*made).rules == ["BN115"]
    with pytest.raises(ValueError, match="Shuffle"):
        report.fix("BN115")
    held = [id(p) for group in made[3].param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in made[0].parameters())


@pytest.mark.parametrize("named", [False, True])
def test_an_optimizer_goes_on_after_repairs(named):
    model = nn.Sequential(nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 4))
    optimizer = mt.optim.AdamW(model.named_parameters() if named else model.parameters(), lr=0.01)
    data = loader(table())

    def step():
        optimizer.zero_grad()
        x, y = next(iter(data))
        nn.CrossEntropyLoss()(model(x), y).backward()
        optimizer.step()

    step()
    moments = {p: optimizer.state[p]["exp_avg"] for p in model[1].parameters()}
    lab.doctor(model, data, nn.CrossEntropyLoss(), optimizer).fix()
    assert lab.doctor(model, data, nn.CrossEntropyLoss(), optimizer).rules == []
    assert [[tuple(p.shape) for p in group["params"]] for group in optimizer.param_groups] \
        == [[(24, 12), (4, 24), (4,)], [(24,), (24,)]]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    if named:
        assert [group["param_names"] for group in optimizer.param_groups] == [
            ["0.weight", "3.weight", "3.bias"], ["1.weight", "1.bias"]]
    assert all(optimizer.state[p]["exp_avg"] is m for p, m in moments.items()) and len(optimizer.state) == 5
    step()
    optimizer.load_state_dict(optimizer.state_dict())


def test_json_and_html(tmp_path):
    report = lab.doctor(**PAIRS["BN117"](True))
    found = json.loads(report.to_json(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text()) == found
    entry, = found["findings"]
    assert entry["rule"] == "BN117" and entry["path"] == "1" and entry["severity"] == "error"
    assert entry["measured"] == 1 and entry["threshold"] == 0 and entry["why"] and entry["fix"]
    assert found["facts"]["loss_eval"] == "nan"  # JSON has no NaN
    page = report.to_html(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == page and "<td>BN117<td>" in page


SCRIPT = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8, bias=%s), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))
    return model, torch.utils.data.DataLoader(data, batch_size=32, shuffle=True), nn.CrossEntropyLoss()

def wrong():
    raise OSError("no data")

def other():
    return 3
"""


def test_the_command(tmp_path, capsys, monkeypatch):
    """0 for a clean network, 1 for findings, 2 where the probe could not run."""
    monkeypatch.setattr("minitorch_bn.install_as_torch", lambda: None)
    text = SCRIPT.replace("import torch", "import minitorch_bn as torch").replace("from torch", "from minitorch_bn")
    (tmp_path / "clean_net.py").write_text(text % "False")
    (tmp_path / "faulty_net.py").write_text(text % "True")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)

    def status(*arguments):
        return command.run(parser.parse_args([str(a) for a in arguments]))

    monkeypatch.syspath_prepend(str(tmp_path))
    assert status(f"{tmp_path}/clean_net.py:build") == 0
    assert "0 findings" in capsys.readouterr().out
    assert status(tmp_path / "faulty_net.py", "--json", tmp_path / "r.json", "--html", tmp_path / "r.html") == 1
    assert "BN107" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["findings"] and (tmp_path / "r.html").exists()
    assert status(tmp_path / "faulty_net.py", "--ignore", "BN107") == 0
    for target in "faulty_net.py:wrong", "faulty_net.py:other", "faulty_net.py:none", "none.py:build":
        assert status(tmp_path / target) == 2
    assert "no file" in capsys.readouterr().err


def test_the_package_is_callable_too():
    """`lab.doctor` is the function or the package of its name, whichever was imported first: both can be called."""
    made = PAIRS["BN112"](True)
    assert sys.modules["minitorch_bn.lab.doctor"](**made).rules == lab.doctor(**made).rules == ["BN112"]


def test_the_table_is_whole():
    assert list(RULES) == [f"BN{n}" for n in range(101, 121)] == sorted(PAIRS)
    for rule in RULES.values():
        assert rule.reason and rule.measures and rule.why and rule.fix and rule.severity in ("error", "warning")


def test_the_command_line_on_a_script_that_imports_torch(tmp_path):
    """A process of its own, since `import torch` is another package there: the exit status, and the three reports."""
    (tmp_path / "net.py").write_text(SCRIPT % "True")
    folder = str(Path(mt.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-m", "minitorch_bn.lab", "doctor", "net.py:build", "--json", "r.json",
                           "--html", "r.html"], cwd=tmp_path, env=dict(os.environ, PYTHONPATH=folder),
                          capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.startswith("BN107"), done.stderr
    assert [f["rule"] for f in json.loads((tmp_path / "r.json").read_text())["findings"]] == ["BN107"]
    assert "BN107" in (tmp_path / "r.html").read_text()
