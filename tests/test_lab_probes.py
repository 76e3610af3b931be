"""The lab's measurements on one's own network: each against numbers that are known otherwise, and without a trace."""

import io
import json

import numpy as np
import pytest
from doctor_networks import Deep, cnn, images, loader, mlp, settle, table

import minitorch_bn as mt
from minitorch_bn import lab, nn
from minitorch_bn.utils.checkpoint import checkpoint


def state(model):
    return [(name, t.detach().numpy().tobytes(), t._version) for name, t in model.state_dict().items()] \
        + [m.training for m in model.modules()] + [mt.get_rng_state().tolist()] \
        + [None if p.grad is None else p.grad.tolist() for p in model.parameters()]


def train(model, data, p=None):
    optimizer = mt.optim.SGD(model.parameters(), lr=0.1)
    for x, y in data:
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(x), y).backward()
        optimizer.step()


def test_probe_measures_what_the_layers_give():
    mt.manual_seed(0)
    model, data = mlp(), loader(table(), shuffle=False)
    batches = list(data)
    with lab.probe(model, every=3) as p:
        train(model, batches)
    assert sorted({row["step"] for row in p.rows}) == [0, 3, 6]
    assert {row["layer"] for row in p.rows} == {"0", "1", "3", "4", "6"}
    mt.manual_seed(0)
    again = mlp()
    y = again[0](batches[0][0]).detach().numpy().astype(np.float64)
    row = p.rows[0]
    assert row["layer"] == "0" and row["mean"] == pytest.approx(y.mean()) and row["std"] == pytest.approx(y.std())
    assert [row["p15"], row["p50"], row["p85"]] == pytest.approx(np.percentile(y, [15, 50, 85]))
    out = again(batches[0][0])
    out.retain_grad()
    nn.CrossEntropyLoss()(out, batches[0][1]).backward()
    last = next(row for row in p.rows if row["layer"] == "6")
    assert last["grad_norm"] == pytest.approx(out.grad.norm().item(), rel=1e-6)
    norm = next(row for row in p.rows if row["layer"] == "1" and row["step"] == 6)
    assert norm["m"] == 32 and 0 < norm["gap"] < 2
    assert p.series("1", "m") == ([0, 3, 6], [32, 32, 32])
    assert len(p.frame()["layer"]) == len(p.rows) == len(json.loads(p.to_json()))
    assert set(p.postfix()) == {"std", "grad_norm"} and "layer" in str(p.last())


def test_probe_leaves_the_training_as_it_is():
    def run(probed):
        mt.manual_seed(0)
        model, data = cnn(), loader(images(), shuffle=False)
        if probed:
            with lab.probe(model):
                train(model, data)
        else:
            train(model, data)
        return state(model)

    assert run(True) == run(False)


class Again(nn.Module):
    """A network whose body is computed a second time in backward."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(12, 24, bias=False), nn.BatchNorm1d(24)

    def forward(self, x):
        return checkpoint(lambda x: self.norm(self.first(x)).relu(), x, use_reentrant=False)


def test_probe_takes_chosen_layers_and_skips_evaluation_and_recomputation():
    model = Again()
    x, _ = table(16)
    with lab.probe(model, layers=["norm"]) as p:
        model(x).sum().backward()
        model.eval()
        model(x)
    assert [row["layer"] for row in p.rows] == ["norm"]
    with lab.probe(mlp(), layers=lambda name, m: isinstance(m, nn.ReLU)) as p:
        p.model(x)
    assert [row["layer"] for row in p.rows] == ["2", "5"] and p.rows[0]["grad_norm"] is None
    with pytest.raises(ValueError, match="no layer 9"):
        lab.probe(mlp(), layers=["9"])
    with pytest.raises(ValueError, match="every"):
        lab.probe(mlp(), every=0)


class Writer:
    def __init__(self):
        self.rows = []

    def add_scalar(self, tag, value, step):
        self.rows.append((tag, value, step))


def test_probe_with_a_progress_bar_and_a_writer():
    tqdm = pytest.importorskip("tqdm")
    writer, model = Writer(), mlp()
    with lab.probe(model, writer=writer, layers=["1"]) as p:
        with tqdm.tqdm(loader(table(64)), file=io.StringIO()) as bar:
            for x, y in bar:
                nn.CrossEntropyLoss()(model(x), y).backward()
                bar.set_postfix(p.postfix())
        assert "std=" in bar.postfix
    tags = {tag for tag, *_ in writer.rows}
    assert {"1/mean", "1/std", "1/p50", "1/grad_norm", "1/m", "1/gap"} <= tags
    assert {step for *_, step in writer.rows} == {0, 1}


@pytest.mark.parametrize("package", ["tensorboard", "tensorboardX"])
def test_event_files(package, tmp_path, monkeypatch):
    pytest.importorskip(package)
    if package == "tensorboardX":
        monkeypatch.setitem(__import__("sys").modules, "minitorch_bn.utils.tensorboard", None)
    model = mlp()
    with lab.probe(model, writer=tmp_path, layers=["1"]):
        train(model, loader(table(64)))
    file, = tmp_path.glob("events*")
    text = file.read_bytes()
    assert b"1/std" in text and b"1/grad_norm" in text


def test_gap_names_the_layer_that_parts():
    data = loader(table())
    model = settle(mlp(), data)
    x, _ = table(seed=0)
    before = state(model)
    healthy = lab.gap(model, x)
    assert state(model) == before
    assert [row["layer"] for row in healthy] == [str(i) for i in range(7)]
    assert healthy[0]["difference"] == 0 and healthy[0]["own"] is None
    assert max(row["own"] for row in healthy if row["own"] is not None) < 0.3
    with mt.no_grad():
        model[4].running_mean += 2 * model[4].running_var.sqrt()
    rows = lab.gap(model, x)
    assert rows.worst == "4" and rows[1]["own"] == healthy[1]["own"]
    assert rows[4]["own"] == pytest.approx(2 / 5 ** 0.5, rel=0.05)  # 2 deviations off, of values of size sqrt(1 + 4)
    assert rows[6]["difference"] > healthy[6]["difference"]


def test_gap_of_one_layer_is_the_formula():
    bn, x = nn.BatchNorm1d(3, eps=1e-9).double(), mt.randn(50, 3, dtype=mt.float64)
    row, = lab.gap(nn.Sequential(bn), x)
    a = x.numpy()
    expected = (a - a.mean(0)) / a.std(0) - a
    assert row["own"] == pytest.approx(np.sqrt((expected ** 2).mean() / (a ** 2).mean()), rel=1e-6)
    assert row["own"] == pytest.approx(row["difference"])


def test_gradient_flow_of_a_deep_network():
    """Batch norm and ReLU without skip connections: the factor's limit is sqrt(pi / (pi - 1)) = 1.21 (Yang 2019)."""
    mt.manual_seed(0)
    batch = table(64)
    plain, skip = Deep(False), Deep(True)
    before = state(plain)
    flow = lab.gradient_flow(plain, batch)
    assert state(plain) == before
    assert len(flow) == 22 and 1.1 < flow.per_layer < 1.3
    assert 0.95 < lab.gradient_flow(skip, batch).per_layer < 1.08
    plain.zero_grad()
    nn.CrossEntropyLoss()(plain(batch[0]), batch[1]).backward()
    layer = plain.layers[3][0]
    row = next(row for row in flow if row["layer"] == "layers.3.0")
    assert row["grad"] == pytest.approx(layer.weight.grad.norm().item(), rel=1e-5)
    assert row["step"] == pytest.approx(row["grad"] / layer.weight.norm().item(), rel=1e-5) and row["output_grad"] > 0


def test_landscape_of_a_quadratic():
    """Of 0.5 w.A.w the gradient changes by eta A A w: all columns are known."""
    a = mt.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=mt.float64)
    model = nn.Linear(2, 1, bias=False).double()
    x = mt.linalg.cholesky(a).T.contiguous()
    rows = lab.landscape(model, (x,), [0.1, 0.5], lambda y: 0.5 * (y ** 2).sum())
    w = model.weight.detach().numpy()[0]
    g = a.numpy() @ w
    for row in rows:
        there = w - row["eta"] * g
        assert row["loss"] == pytest.approx(0.5 * there @ a.numpy() @ there)
        assert row["smoothness"] == pytest.approx(np.linalg.norm(a.numpy() @ g) / np.linalg.norm(g))
        assert row["change"] == pytest.approx(row["eta"] * row["smoothness"])
    assert rows.beta <= np.linalg.eigvalsh(a.numpy()).max() + 1e-9


def test_landscape_leaves_the_model_as_it_was():
    model, batch = mlp(), table(32)
    before = [t.detach().numpy().tobytes() for t in model.state_dict().values()]
    rows = lab.landscape(model, batch, [0.05, 0.1, 0.4])
    assert [t.detach().numpy().tobytes() for t in model.state_dict().values()] == before
    assert rows[0]["loss"] < float(rows.title.split()[1].rstrip(","))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("m", [2, 3, 4, 8, 16, 32])
def test_the_rank_of_the_jacobian_is_m_minus_2(m):
    mt.manual_seed(m)
    bn = nn.BatchNorm1d(5)
    with mt.no_grad():
        bn.weight.copy_(mt.tensor([1.0, -2.0, 0.5, 3.0, 0.1]))
    spectrum = lab.jacobian_spectrum(bn, mt.randn(m, 5) * 3 + 7)
    assert spectrum.rank.tolist() == [m - 2] * 5 and spectrum.share == (m - 2) / m
    np.testing.assert_allclose(spectrum.values[:, :m - 2], 1, rtol=1e-9)
    assert int(bn.num_batches_tracked) == 0


def test_the_spectrum_of_images_and_its_limits():
    spectrum = lab.jacobian_spectrum(nn.BatchNorm2d(2, affine=False), mt.randn(3, 2, 2, 4))
    assert spectrum.m == 24 and spectrum.rank.tolist() == [22, 22] and "92%" in repr(spectrum)
    with pytest.raises(ValueError, match="512"):
        lab.jacobian_spectrum(nn.BatchNorm1d(1), mt.randn(600, 1))
    with pytest.raises(TypeError, match="batch norm"):
        lab.jacobian_spectrum(nn.LayerNorm(3), mt.randn(4, 3))


def test_recommend():
    assert lab.recommend(task="rnn").layer == "nn.LayerNorm" and "2016" in lab.recommend(task="rnn").source
    assert "GroupNorm" in lab.recommend(4).layer and "m = 4" in lab.recommend(4).why
    assert "renormalization" in lab.recommend(16).layer
    assert lab.recommend(128).layer == "nn.BatchNorm" and "ghost" in lab.recommend(8192).layer
    model = cnn()
    before = state(model)
    assert lab.recommend(images(4), model).layer == "nn.BatchNorm"  # 4 images, 64 values of each channel or more
    assert state(model) == before
    assert "GroupNorm" in lab.recommend(table(4), mlp()).layer
    assert "arXiv" in str(lab.recommend(task="gan"))
    for wrong, message in (({}, "needs the batch"), ({"task": "chess"}, "must be one of"),
                           ({"batch": mt.ones(2)}, "model")):
        with pytest.raises(ValueError, match=message):
            lab.recommend(**wrong)
