"""Runs experiments: each (setting, seed) once, in several processes, its result in a file of its own.

A result is written in one step of the file system. So a run may be killed at any point: the same command goes on where
it was. A result is used again only if the experiment's code, the data and the size of the run are the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import minitorch_bn as torch
from minitorch_bn.serialization.atomic import replacing

from .data import Data, load_data
from .experiments import NAMES
from .results import Results


class Run(NamedTuple):
    """How much is measured: a `quick` run uses the small images and fewer steps."""

    quick: bool = False
    seeds: int = 5
    data: str = "best"
    out: str = "lab-results"

    def images(self) -> Data:
        """The images of this run, standardized."""
        return _standardized("digits" if self.quick and self.data == "best" else self.data)

    def size(self, quick: Any, full: Any) -> Any:
        """One of two values: that of a quick run, or that of a full one."""
        return quick if self.quick else full


_cache: dict[str, Data] = {}


def _standardized(name: str) -> Data:
    if name not in _cache:
        _cache[name] = load_data(name).standardized()
    return _cache[name]


def experiment(name: str) -> ModuleType:
    """The module of an experiment. ValueError: there is none of that name."""
    if name not in NAMES:
        raise ValueError(f"no experiment {name!r}; there are {', '.join(NAMES)}")
    return import_module(f"{__package__}.experiments.{name}")


class Job(NamedTuple):
    """One measurement, and the file that keeps it."""

    experiment: str
    setting: dict[str, Any]
    seed: int
    path: Path
    digest: str


def _digest(module: ModuleType, run: Run) -> str:
    """Changes with whatever a result depends on: the code, the data, the size."""
    here = Path(__file__).parent
    parts = [Path(module.__file__ or "").read_bytes(), *((here / f).read_bytes() for f in ("training.py", "data.py"))]
    images = run.images()
    about = f"{torch.__version__} {run.quick} {images.name} {tuple(images.x.shape)}"
    return hashlib.sha256(b"\0".join([*parts, about.encode()])).hexdigest()[:16]


def jobs(name: str, run: Run) -> list[Job]:
    """All measurements of an experiment, seed by seed."""
    module = experiment(name)
    digest = _digest(module, run)
    folder = Path(run.out) / "results" / ("quick" if run.quick else "full") / name
    return [Job(name, setting, seed, folder / f"{_slug(setting)}_seed{seed}.json", digest)
            for seed in range(run.seeds) for setting in module.settings(run)]


def _slug(setting: dict[str, Any]) -> str:
    return re.sub(r"[^\w.+=-]+", "", "_".join(f"{key}={value}" for key, value in setting.items())) or "all"


def clean(value: Any) -> Any:
    """JSON has no NaN or infinity: None stands for what is no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, (list, tuple)) else value


def load(job: Job) -> dict[str, Any] | None:
    """The row of a job, or None if it was not measured yet (by this code, at this size)."""
    try:
        kept = json.loads(job.path.read_text(encoding="utf-8"))
        if kept["digest"] == job.digest:
            return {**job.setting, "seed": job.seed, **kept["measured"]}
    except (OSError, ValueError, KeyError):
        pass
    return None


def measure(job: Job, run: Run) -> None:
    """Do one job, and keep its result."""
    torch.manual_seed(job.seed)
    measured = experiment(job.experiment).measure(run, job.seed, **job.setting)
    kept = {"experiment": job.experiment, "setting": job.setting, "seed": job.seed, "digest": job.digest,
            "measured": clean(measured)}
    job.path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(job.path) as file:
        file.write(json.dumps(kept, allow_nan=False).encode())


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(json.dumps(clean(value), indent=1, ensure_ascii=False, allow_nan=False).encode())


def work() -> None:
    """A worker process: jobs come in by number on standard input, and are told done on standard output."""
    torch.set_num_threads(1)  # one process a core; the bits are the same
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of the terminal's processes: the parent decides
    known: dict[str, list[Job]] = {}
    for line in sys.stdin:
        name, number, run = json.loads(line)
        run = Run(*run)
        if name not in known:
            known[name] = jobs(name, run)
        measure(known[name][number], run)
        try:
            print("done", flush=True)
        except OSError:  # nobody listens any more
            os._exit(1)


class _Worker(threading.local):
    """One process for each thread of the pool; it ends when its input does, so also when this process is killed."""

    process: subprocess.Popen | None = None

    def do(self, name: str, number: int, run: Run) -> None:
        if self.process is None:
            root = str(Path(torch.__file__).resolve().parent.parent)
            path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
            self.process = subprocess.Popen([sys.executable, "-m", __package__ or "", "work"], text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            env=dict(os.environ, PYTHONPATH=path))
            _started.append(self.process)
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps([name, number, run]) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        if answer != "done\n":
            raise RuntimeError(f"measurement {number} of {name!r} failed: see what its process printed above")


_started: list[subprocess.Popen] = []


def _progress(total: int) -> tuple[Callable[[str], None], Callable[[], None]]:
    """(advance, close): tqdm's bar, or lines where it is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return (lambda name: print(name, file=sys.stderr)), (lambda: None)
    bar = tqdm(total=total, unit="run", file=sys.stderr, dynamic_ncols=True)

    def advance(name: str) -> None:
        bar.set_description(name)
        bar.update()
    return advance, bar.close


def run(names: Iterable[str], quick: bool = False, seeds: int = 5, out: str | os.PathLike = "lab-results",
        data: str = "best", workers: int = 1, progress: bool = True) -> dict[str, Results]:
    """Run experiments and give their results by name. What `out` keeps from before is not measured again.

    `workers` processes share the measurements; the numbers do not depend on how many. The files below `out`/results
    hold one measurement each; `write_report` makes the page and the figures.

    Raises:
        ValueError: there is no experiment of that name.
        ImportError, RuntimeError: the images are missing; a measurement failed.
    """
    how = Run(quick, seeds, data, os.fspath(out))
    listed = {name: jobs(name, how) for name in names}
    todo = [(name, i, job) for name, all_jobs in listed.items() for i, job in enumerate(all_jobs) if load(job) is None]
    advance, close = _progress(len(todo)) if progress and todo else ((lambda name: None), (lambda: None))
    try:
        if workers <= 1:
            for name, _, job in todo:
                measure(job, how)
                advance(name)
        else:
            _share(todo, how, min(workers, len(todo)), advance)
    finally:
        close()
    rows = {name: [load(job) for job in all_jobs] for name, all_jobs in listed.items()}
    if any(None in found for found in rows.values()):
        raise RuntimeError("an experiment's code, or its results, changed while it ran: run it again")
    return {name: Results(found) for name, found in rows.items()}  # type: ignore[arg-type]


def _share(todo: Sequence[tuple[str, int, Job]], how: Run, workers: int, advance: Callable[[str], None]) -> None:
    worker = _Worker()
    pool = ThreadPoolExecutor(max(workers, 1))
    try:
        waiting = {pool.submit(worker.do, name, i, how): name for name, i, _ in todo}
        for finished in as_completed(waiting):
            finished.result()
            advance(waiting[finished])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in _started:
            process.terminate()  # a result is a whole file or none
            process.wait()
        _started.clear()
