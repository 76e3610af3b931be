"""The experiments: each runs on a small scale, gives verdict and figures; runs resume and repeat, the page is whole."""

import html.parser
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import browser
import pytest
from small_datasets import write_cifar, write_mnist

pytest.importorskip("sklearn")
import minitorch_bn as torch
from minitorch_bn.lab import __main__ as command
from minitorch_bn.lab import runner
from minitorch_bn.lab.data import load_data
from minitorch_bn.lab.experiments import NAMES
from minitorch_bn.lab.report import write_report
from minitorch_bn.lab.results import HOLDS, IN_PART, NOT_HERE, UNTOLD, Results, Verdict, estimate, judged
from minitorch_bn.lab.training import batches, slope
from minitorch_bn.vision.datasets import CIFAR10


class Tiny(runner.Run):
    """A run in which 30 steps and 200 images are many."""

    def size(self, quick, full):
        return (4, 16) if quick == (16, 4) else 30 if isinstance(quick, int) and quick > 40 else quick

    def images(self):
        return super().images().few(200)


@pytest.fixture(scope="module")
def measured():
    """Every experiment's rows, measured once at a tiny size, as they come back from a file."""
    run, found = Tiny(True, 1, "digits", "unused"), {}
    for name in NAMES:
        module, rows = runner.experiment(name), []
        for setting in module.settings(run):
            torch.manual_seed(0)
            kept = json.loads(json.dumps(runner.clean(module.measure(run, 0, **setting)), allow_nan=False))
            rows.append({**setting, "seed": 0, **kept})
        found[name] = Results(rows)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_tells_what_it_does(name, measured):
    module = runner.experiment(name)
    assert re.search("[가-힣]", module.KOREAN) and module.ENGLISH.endswith(".")
    assert len(module.DID) > 100 and module.PAPER
    for quick in (True, False):
        run = runner.Run(quick, 1, "digits")
        slugs = [job.path for job in runner.jobs(name, run)]
        assert len(slugs) == len(set(slugs)) > 0
    verdict = module.verdict(measured[name])
    assert verdict.level in (HOLDS, IN_PART, NOT_HERE) and verdict.sentence.endswith(".") and verdict.numbers
    assert not re.search(r"\bnan\b", verdict.sentence)
    figures = module.figures(measured[name])
    assert figures
    for figure in figures:
        assert figure.series and figure.text.endswith(".")
        for series in figure.series:
            assert len(series.x) == len(series.y) == len(series.spread) > 0, (figure.title, series.label)


def test_a_verdict_comes_from_the_numbers():
    """Made-up rows turn the verdict: nothing is hard-coded."""
    module = runner.experiment("exploding")

    def rows(batch, twice):
        factors = {("none", 1, False): 1.0, ("none", 2, False): 2.0, ("batch", 1, False): batch,
                   ("batch", 2, False): twice, ("batch", 1, True): 1.0}
        return Results([{"norm": n, "gain": g, "skip": s, "depth": 50, "seed": 0, "factor": f}
                        for (n, g, s), f in factors.items()])

    assert [module.verdict(rows(*f)).level for f in ((1.0, 1.0), (1.2, 1.2), (1.2, 2.2))] == [HOLDS, IN_PART, NOT_HERE]
    small = runner.experiment("small_batch")

    def accuracies(low, values):
        kept = [{"kind": k, "batch": b, "seed": 0, "final": low if k == "batch" and b == 2 else 0.9}
                for k in small.KINDS for b in small.SIZES]
        spectra = [{"kind": "spectrum", "batch": m, "seed": 0, "values": values(m)} for m in small.SIZES[:5]]
        return Results(kept + spectra)

    def lost_two(m):
        return [1.0] * (m - 2) + [0.0, 0.0]

    levels = [small.verdict(accuracies(low, f)).level for low, f in (
        (0.5, lost_two), (0.9, lost_two), (0.9, lambda m: [1.0] * m))]
    assert levels == [HOLDS, IN_PART, NOT_HERE]


def test_what_was_not_measured_is_not_judged():
    class Experiment:
        def verdict(self, results):
            return Verdict(HOLDS, f"It took {float('nan'):.0f} steps.", {})
    assert judged(Experiment(), Results([])).level == UNTOLD


def test_estimates():
    e = estimate([1.0, 2.0, 3.0])
    assert e.mean == 2.0 and e.sd == 1.0 and not e.clear  # 2 / (1 / sqrt 3) = 3.46 is below 4.30
    assert estimate([1.9, 2.0, 2.1]).above and not estimate([-2.1, -2.0, -1.9]).above
    assert not estimate([1.0]).clear and estimate([1.0]).above  # one seed: only the direction
    assert estimate([1.0, None]).mean != estimate([1.0, None]).mean  # what did not converge is no number
    assert slope([1.0, 2.0, 4.0, 8.0]) == pytest.approx(2.0)
    r = Results([{"kind": k, "seed": s, "v": v}
                 for k, s, v in (("a", 1, 3.0), ("a", 0, 1.0), ("b", 0, 0.5), ("b", 1, 1.0))])
    assert r.values("v", kind="a") == [1.0, 3.0]
    assert r.difference("v", {"kind": "a"}, {"kind": "b"}).mean == 1.25
    assert r.ratio("v", {"kind": "a"}, {"kind": "b"}) == pytest.approx(6 ** 0.5)


def test_data(tmp_path):
    data = load_data("digits")
    assert data.x.shape == (1297, 64) and data.test_x.shape == (500, 64) and data.x.max().item() == 255
    scaled = data.standardized()
    assert scaled.x.mean(dim=0).abs().max().item() < 1e-5
    with pytest.raises(RuntimeError, match="neither"):
        load_data("no such folder")
    with pytest.raises(RuntimeError, match="MNIST"):
        load_data(str(tmp_path))
    write_cifar(tmp_path)
    found = load_data(str(tmp_path))
    pixels = CIFAR10(str(tmp_path)).data  # (N, 32, 32, 3)
    assert found.image == (3, 32, 32) and found.x.shape[1] == 3072 and found.name.startswith("CIFAR10")
    taken = {tuple(row) for row in torch.cat([found.x, found.test_x]).tolist()}
    assert taken == {tuple(row) for row in pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1).tolist()}
    write_mnist(tmp_path)
    load_data.cache_clear()
    found = load_data(str(tmp_path))
    assert found.image == (1, 28, 28) and len(found.x) == 6 and len(found.test_x) == 1
    taken = [row for _, rows in zip(range(20), batches(1297, 64, seed=0)) for row in rows.tolist()]
    assert len(set(taken)) == 1280  # one epoch, each image at most once


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "results").rglob("*.json")}


def lab(*arguments):
    return [sys.executable, "-m", "minitorch_bn.lab", *map(str, arguments)]


def test_the_same_numbers_again_and_after_a_kill(tmp_path):
    runner.run(["evaluation"], quick=True, seeds=2, out=tmp_path / "a", progress=False)
    whole = files(tmp_path / "a")
    assert len(whole) == 10
    again = lab("run", "evaluation", "--quick", "--seeds", 2, "--out", tmp_path / "b", "--workers", 2)
    where = {"cwd": tmp_path, "env": dict(os.environ, PYTHONPATH=str(Path(torch.__file__).parent.parent))}
    process = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **where)
    while len(files(tmp_path / "b")) < 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)  # a worker finishes the measurement that it is at, and no more
    kept = files(tmp_path / "b")
    assert 2 <= len(kept) < 10, "killed too late to tell"
    times = {name: next((tmp_path / "b").rglob(name)).stat().st_mtime_ns for name in kept}
    victim = next(iter(kept))
    path = next((tmp_path / "b").rglob(victim))
    path.write_text('{"digest": "cut o')  # what a machine that fell over may leave
    subprocess.run(again, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **where)
    assert files(tmp_path / "b") == whole
    after = {name: next((tmp_path / "b").rglob(name)).stat().st_mtime_ns for name in kept}
    assert {name for name in kept if after[name] != times[name]} == {victim}
    assert (tmp_path / "b" / "index.html").stat().st_size > 10_000


def test_the_command(tmp_path, capsys, monkeypatch):
    assert command.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)
    assert command.main(["doctor", str(tmp_path / "nothing.py")]) == 2 and "no file" in capsys.readouterr().err
    assert command.main(["run", "nothing"]) == 1 and "there are scaling" in capsys.readouterr().err
    assert command.main(["run", "evaluation", "--seeds", "0"]) == 1
    monkeypatch.setitem(sys.modules, "plotly.offline", None)  # without the library, tables remain
    assert command.main(["run", "evaluation", "--quick", "--seeds", "1", "--workers", "1", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "pip install" in page and len(page) < 100_000
    verdicts = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["verdicts"]
    assert list(verdicts) == ["evaluation"]


def test_the_lab_is_not_imported_unasked(tmp_path):
    code = "import sys, minitorch_bn; assert not [m for m in sys.modules if m.startswith('minitorch_bn.lab')]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path,
                   env=dict(os.environ, PYTHONPATH=str(Path(torch.__file__).parent.parent)))


class Outline(html.parser.HTMLParser):
    """Elements that are open, labels and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.tables, self.links, self.ids, self.unlabelled = [], 0, [], set(), []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in ("meta", "br", "link", "img", "input"):
            self.open.append(tag)
        self.tables += tag == "table"
        self.links += [found[k] for k in ("href", "src") if k in found]
        if "id" in found:
            assert found["id"] not in self.ids
            self.ids.add(found["id"])
        if found.get("role") in ("img", "region", "group") and not found.get("aria-label"):
            self.unlabelled.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(measured, tmp_path_factory):
    pytest.importorskip("plotly")
    return write_report(measured, runner.Run(True, 1, "digits", str(tmp_path_factory.mktemp("page"))))


def test_the_page_is_whole(page, measured):
    text = page.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert not outline.open and not outline.unlabelled
    figures = sorted((page.parent / "figures").glob("*.json"))
    assert outline.tables == 1 + len(NAMES) + len(figures)
    assert all(link[0] == "#" and link[1:] in outline.ids for link in outline.links)  # nothing from elsewhere
    for name in NAMES:
        module = runner.experiment(name)
        assert name in outline.ids and module.KOREAN in text and f"minitorch_bn.lab run {name}" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    assert data[figures[0].stem] == json.loads(figures[0].read_text(encoding="utf-8"))


@pytest.mark.skipif(not (browser.CHROMIUM and browser.DRIVER), reason="needs chromium and chromedriver")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(page, width):
    with browser.browser(width, 900, dark=width == 390) as window:
        window.open(page.as_uri())
        window.wait("return document.documentElement.dataset.ready === 'true'")
        charts = len(list((page.parent / "figures").glob("*.json")))
        assert window.run("return document.querySelectorAll('.chart .main-svg').length") >= charts
        assert window.run("return document.documentElement.scrollWidth") <= width
        # A series is toggled, and the figure zoomed, by the keyboard alone.
        window.run("document.querySelector('figure .series').focus()")
        window.press("\ue007")
        look = ("const c = document.querySelector('.chart'), pressed = document.querySelector('.series').ariaPressed;"
                "return [c.data.filter(t => t.meta === 0).map(t => t.visible), pressed, c._fullLayout.yaxis.range]")
        visible, pressed, before = window.run(look)
        assert not any(visible) and pressed == "false"
        window.press("\ue007")
        window.run("document.querySelector('[data-do=in]').focus()")
        window.press("\ue007")
        visible, pressed, after = window.run(look)
        assert all(visible) and pressed == "true" and after[1] - after[0] < before[1] - before[0]
        window.run("document.querySelector('[data-do=reset]').click()")
        ink = "return getComputedStyle(document.body).color"
        was = window.run(ink)
        window.run("document.getElementById('theme').click()")
        assert window.run(ink) != was
        window.run("document.querySelector('[data-do=json]').click()")
        assert window.console() == []
        asked = [address for address in window.requests() if not address.startswith("blob:")]
        assert asked == [page.as_uri()]
