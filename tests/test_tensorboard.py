"""SummaryWriter: the events read back are what was written, and PyTorch's writer writes the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minitorch_bn as mt

pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
pytest.importorskip("PIL")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def libs():
    return [mt, pytest.importorskip("torch")]


def _events(folder):
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    found = {}
    for path in sorted(Path(folder).rglob("events.out.tfevents*")):
        events = [Event.FromString(raw) for raw in RawEventFileLoader(str(path)).Load()]
        found[str(path.parent.relative_to(folder))] = [e for e in events if not e.HasField("source_metadata")]
    return found


def _write(lib, folder):
    from matplotlib.figure import Figure

    from_numpy, rng = lib.from_numpy, np.random.default_rng(0)
    image = rng.random((3, 8, 6), dtype=np.float32)
    with lib.utils.tensorboard.SummaryWriter(folder, purge_step=3) as w:
        w.add_scalar("loss", lib.tensor(0.5), 1, walltime=10.0)
        w.add_scalar("loss", 2, 2, walltime=11.0)
        w.add_scalar("new", np.float64(1 / 3), 2, 12.0, new_style=True, double_precision=True)
        w.add_scalars("both/x", {"a": 1.5, "b": lib.tensor(2.5)}, 4, walltime=13.0)
        for i, options in enumerate(({}, {"bins": 10}, {"bins": "auto"}, {"max_bins": 20})):
            w.add_histogram("weights", from_numpy(rng.normal(size=(50, 3))), i, walltime=14.0, **options)
        w.add_histogram("bfloat", lib.ones(3, dtype=lib.bfloat16), walltime=14.0)
        w.add_histogram_raw("raw", 0.0, 3.0, 3, 6.0, 14.0, [1.0, 2.0, 3.0], [1, 1, 1], 1, 15.0)
        w.add_image("image", from_numpy(image), 1, walltime=16.0)
        w.add_image("bytes", (image.transpose(1, 2, 0) * 255).astype(np.uint8), 1, 16.0, dataformats="HWC")
        w.add_image("grey", image[0], 1, 16.0, dataformats="HW")
        w.add_images("grid", from_numpy(rng.random((10, 1, 4, 5))), 1, walltime=17.0)
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([1, 2])
        w.add_figure("figure", figure, 1, close=False, walltime=18.0)
        w.add_figure("figures", [figure, figure], 1, close=False, walltime=18.0)
        w.add_text("note", "**größe**", 1, walltime=19.0)
        w.add_audio("sound", from_numpy(np.sin(np.arange(50.0))), 1, 8000, walltime=20.0)
        w.add_pr_curve("curve", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.6]), 1, walltime=21.0)
        w.add_custom_scalars({"c": {"t": ["Multiline", ["loss", "new"]], "m": ["Margin", ["a", "b", "c"]]}})
        w.add_tensor("tensor", from_numpy(image), 1, 22.0)
        w.add_embedding(from_numpy(rng.random((5, 2))), ["a", "b", "c", "d", "e"],
                        from_numpy(rng.random((5, 3, 4, 4), dtype=np.float32)), 2)
        w.add_embedding(rng.random((2, 2)), [["a", 1], ["b", 2]], metadata_header=["x", "y"], tag="second")
        w.add_hparams({"lr": 0.1, "name": "adam", "flag": True, "none": None, "t": lib.tensor([2.0])},
                      {"accuracy": 0.9}, {"lr": [0.1, 0.2]}, run_name="trial", global_step=5)


def test_files_are_pytorchs(libs, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("torch.utils.tensorboard")
    seen = []
    for lib in libs:
        folder = tmp_path / lib.__name__
        _write(lib, folder)
        events = _events(folder)
        for listed in events.values():
            for event in listed:
                if not 10 <= event.wall_time <= 22:
                    event.wall_time = 0
        files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*")
                 if p.is_file() and "tfevents" not in p.name}
        seen.append((events, files))
    (mine, my_files), (theirs, their_files) = seen
    assert mine.keys() == theirs.keys() == {".", "both_x_a", "both_x_b", "trial"}
    for name in theirs:
        assert len(mine[name]) == len(theirs[name])
        for a, b in zip(mine[name], theirs[name]):
            assert a == b, str(b)[:300]
    assert my_files == their_files


def test_event_file_reads_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = mt.utils.tensorboard.SummaryWriter(tmp_path)
    for step in range(5):
        writer.add_scalar("train/loss", mt.tensor(1.0 / (step + 1)), step)
    writer.add_image("picture", mt.zeros(3, 4, 4), 1)
    writer.flush()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, round(e.value, 4)) for e in events.Scalars("train/loss")] == [
        (0, 1.0), (1, 0.5), (2, 0.3333), (3, 0.25), (4, 0.2)]
    assert events.Images("picture")[0].width == 4
    writer.close()
    writer.close()
    writer.add_scalar("train/loss", 7, 9)  # starts another file
    writer.close()
    assert [s for name in _events(tmp_path).values() for s in name]
    with pytest.warns(UserWarning, match="add_graph writes nothing"):
        writer.add_graph(mt.nn.Linear(1, 1), mt.zeros(1))
    with pytest.raises(NotImplementedError, match="no videos"):
        writer.add_video("v", mt.zeros(1))
    writer.add_image_with_boxes("boxed", mt.zeros(3, 20, 20), mt.tensor([[2.0, 2, 9, 9]]), labels=["cat"])
    for wrong in (lambda: writer.add_scalar("x", mt.zeros(2)), lambda: writer.add_image("x", mt.zeros(2, 2)),
                  lambda: writer.add_embedding(mt.zeros(3))):
        with pytest.raises(AssertionError):
            wrong()
    with pytest.raises(NotImplementedError, match="numpy array or torch tensor"):
        writer.add_scalar("x", [1])
    with pytest.raises(TypeError, match="should be dictionary"):
        writer.add_hparams([], {})
    with pytest.raises(ValueError, match="no element"):
        writer.add_histogram("x", mt.zeros(0))
    writer.close()


def test_default_folder_is_under_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with mt.utils.tensorboard.SummaryWriter(comment="-note") as writer:
        assert writer.get_logdir().startswith("runs") and writer.get_logdir().endswith("-note")
    assert len(list(tmp_path.glob("runs/*/events*"))) == 1


def test_missing_package_names_the_extra():
    code = "import sys; sys.modules['tensorboard'] = None\nimport minitorch_bn.utils.tensorboard"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          cwd=Path(mt.__file__).parent.parent)
    assert "pip install 'minitorch_bn[tensorboard]'" in done.stderr
