"""SummaryWriter: what a training run has to tell, in event files that TensorBoard shows."""

from __future__ import annotations

import os
import socket
import time
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from . import summary


class FileWriter:
    """One event file, which tensorboard's writer fills in the background."""

    def __init__(self, log_dir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str = "") -> None:
        self.event_writer = EventFileWriter(str(log_dir), max_queue, flush_secs, filename_suffix)

    def get_logdir(self) -> str:
        """Where the file is."""
        return self.event_writer.get_logdir()

    def add_event(self, event: Event, step: int | None = None, walltime: float | None = None) -> None:
        """Write an event, with the time (default: now) and the step."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(self, message: Any, global_step: int | None = None, walltime: float | None = None) -> None:
        """Write a Summary."""
        self.add_event(Event(summary=message), global_step, walltime)

    def flush(self) -> None:
        """Wait until everything is in the file."""
        self.event_writer.flush()

    def close(self) -> None:
        """Flush, and close the file."""
        self.event_writer.close()

    def reopen(self) -> None:
        """Accepted: a closed writer starts a new file by itself."""
        self.event_writer.reopen()


def _bins() -> list[float]:
    """TensorFlow's bins: powers of 1.1 on both sides of zero."""
    positive, value = [], 1e-12
    while value < 1e20:
        positive.append(value)
        value *= 1.1
    return [-value for value in reversed(positive)] + [0] + positive


class SummaryWriter:
    """Writes numbers, histograms, pictures and text of a run for TensorBoard (``tensorboard --logdir runs``).

    Args:
        log_dir: the run's folder; default: runs/<time>_<host><comment>.
        purge_step: hide what an earlier, broken off run wrote from this step on.
        max_queue, flush_secs: how many events, and for how long, may wait to be written.
        filename_suffix: end of the file's name.

    Every `add_` method takes the step (`global_step`) and the time (`walltime`, default: now).
    """

    def __init__(self, log_dir: Any = None, comment: str = "", purge_step: int | None = None, max_queue: int = 10,
                 flush_secs: float = 120, filename_suffix: str = "") -> None:
        if not log_dir:
            log_dir = os.path.join("runs", f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}")
        self.log_dir = log_dir
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()
        self.default_bins = _bins()
        self._projector_config: Any = None

    def _new_file(self, folder: Any) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _get_file_writer(self) -> FileWriter:
        if self.file_writer is None or self.all_writers is None:
            self.file_writer = self._new_file(self.log_dir)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                self.file_writer.add_event(Event(step=self.purge_step, file_version="brain.Event:2"))
                self.file_writer.add_event(Event(step=self.purge_step,
                                                 session_log=SessionLog(status=SessionLog.START)))
                self.purge_step = None
        return self.file_writer

    def get_logdir(self) -> Any:
        """The run's folder."""
        return self.log_dir

    # -- numbers -----------------------------------------------------------------------------------------------------

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None,
                   new_style: bool = False, double_precision: bool = False) -> None:
        """A number, as one point of a curve."""
        self._get_file_writer().add_summary(summary.scalar(tag, scalar_value, new_style, double_precision),
                                            global_step, walltime)

    def add_scalars(self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: int | None = None,
                    walltime: float | None = None) -> None:
        """Several numbers, as points of curves in one chart; each curve is a file of its own."""
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        writers = self.all_writers
        assert writers is not None
        for tag, value in tag_scalar_dict.items():
            name = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            if name not in writers:
                writers[name] = self._new_file(name)
            writers[name].add_summary(summary.scalar(main_tag, value), global_step, walltime)

    def add_tensor(self, tag: str, tensor: Any, global_step: int | None = None, walltime: float | None = None) -> None:
        """A tensor as it is."""
        self._get_file_writer().add_summary(summary.tensor(tag, tensor), global_step, walltime)

    def add_histogram(self, tag: str, values: Any, global_step: int | None = None, bins: Any = "tensorflow",
                      walltime: float | None = None, max_bins: int | None = None) -> None:
        """The distribution of values; `bins` as for numpy.histogram, or "tensorflow"."""
        bins = self.default_bins if isinstance(bins, str) and bins == "tensorflow" else bins
        self._get_file_writer().add_summary(summary.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(self, tag: str, min: float, max: float, num: int, sum: float, sum_squares: float,
                          bucket_limits: Any, bucket_counts: Any, global_step: int | None = None,
                          walltime: float | None = None) -> None:
        """A distribution that was counted already: right ends of bins, and how many are in each."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        self._get_file_writer().add_summary(
            summary.histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts), global_step,
            walltime)

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, global_step: int | None = None,
                     num_thresholds: int = 127, weights: Any = None, walltime: float | None = None) -> None:
        """Precision and recall of predictions in [0, 1] for labels 0 and 1."""
        self._get_file_writer().add_summary(
            summary.pr_curve(tag, labels, predictions, num_thresholds, weights), global_step, walltime)

    def add_pr_curve_raw(self, tag: str, true_positive_counts: Any, false_positive_counts: Any,
                         true_negative_counts: Any, false_negative_counts: Any, precision: Any, recall: Any,
                         global_step: int | None = None, num_thresholds: int = 127, weights: Any = None,
                         walltime: float | None = None) -> None:
        """Precision and recall that were computed already."""
        self._get_file_writer().add_summary(
            summary.pr_curve_raw(tag, true_positive_counts, false_positive_counts, true_negative_counts,
                                 false_negative_counts, precision, recall, num_thresholds), global_step, walltime)

    def add_custom_scalars(self, layout: dict) -> None:
        """Charts of several curves: {category: {title: ["Multiline" or "Margin", tags]}}."""
        self._get_file_writer().add_summary(summary.custom_scalars(layout))

    def add_custom_scalars_multilinechart(self, tags: list[str], category: str = "default",
                                          title: str = "untitled") -> None:
        """One chart of several curves."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(self, tags: list[str], category: str = "default",
                                       title: str = "untitled") -> None:
        """One curve between two others: tags of the curve, its lower and its upper bound."""
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_hparams(self, hparam_dict: dict, metric_dict: dict, hparam_domain_discrete: dict | None = None,
                    run_name: str | None = None, global_step: int | None = None) -> None:
        """Options of this run and what it reached, for the table of all runs."""
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        messages = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(folder) as writer:
            for message in messages:
                writer._get_file_writer().add_summary(message, global_step)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    # -- pictures, sound, text ---------------------------------------------------------------------------------------

    def add_image(self, tag: str, img_tensor: Any, global_step: int | None = None, walltime: float | None = None,
                  dataformats: str = "CHW") -> None:
        """A picture: bytes, or floats in [0, 1]; `dataformats` names its axes."""
        self._get_file_writer().add_summary(summary.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(self, tag: str, img_tensor: Any, global_step: int | None = None, walltime: float | None = None,
                   dataformats: str = "NCHW") -> None:
        """Pictures of one size, as a grid."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(self, tag: str, img_tensor: Any, box_tensor: Any, global_step: int | None = None,
                             walltime: float | None = None, rescale: float = 1, dataformats: str = "CHW",
                             labels: Any = None) -> None:
        """A picture with boxes (left, top, right, bottom) on it."""
        labels = [labels] if isinstance(labels, str) else labels
        boxes = summary.as_array(box_tensor)
        if labels is not None and len(labels) != len(boxes):
            labels = None
        self._get_file_writer().add_summary(
            summary.image(tag, img_tensor, dataformats, rescale, boxes, labels), global_step, walltime)

    def add_figure(self, tag: str, figure: Any, global_step: int | None = None, close: bool = True,
                   walltime: float | None = None) -> None:
        """A figure of Matplotlib, or a list of them, as a picture; `close` it then."""
        if isinstance(figure, list):
            pixels = np.stack([summary.figure_pixels(one, close) for one in figure])
        else:
            pixels = summary.figure_pixels(figure, close)
        self.add_image(tag, pixels, global_step, walltime, "NCHW" if isinstance(figure, list) else "CHW")

    def add_audio(self, tag: str, snd_tensor: Any, global_step: int | None = None, sample_rate: int = 44100,
                  walltime: float | None = None) -> None:
        """One channel of sound: numbers in [-1, 1]."""
        self._get_file_writer().add_summary(summary.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: int | None = None,
                 walltime: float | None = None) -> None:
        """Text, shown as Markdown."""
        self._get_file_writer().add_summary(summary.text(tag, text_string), global_step, walltime)

    def add_embedding(self, mat: Any, metadata: Any = None, label_img: Any = None, global_step: int | None = None,
                      tag: str = "default", metadata_header: list[str] | None = None) -> None:
        """Points (N, D) for the projector, with a label (`metadata`) and a picture (`label_img`) of each."""
        from google.protobuf import text_format
        from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
        points = summary.as_array(mat)
        if points.ndim != 2:
            raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
        root = Path(self._get_file_writer().get_logdir())
        safe = "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):02x}" for c in tag)
        folder = Path(f"{global_step or 0:05}") / safe
        (root / folder).mkdir(parents=True, exist_ok=True)
        self._projector_config = self._projector_config or ProjectorConfig()
        info = self._projector_config.embeddings.add()
        info.tensor_name = f"{tag}:{global_step or 0:05}"
        info.tensor_path = str(folder / "tensors.tsv")
        (root / info.tensor_path).write_text("".join("\t".join(map(str, row.tolist())) + "\n" for row in points))
        if metadata is not None:
            if len(metadata) != len(points):
                raise AssertionError("#labels should equal with #data points")
            rows = ["\t".join(map(str, row)) for row in [metadata_header, *metadata]] if metadata_header else \
                [str(row) for row in metadata]
            info.metadata_path = str(folder / "metadata.tsv")
            (root / info.metadata_path).write_text("\n".join(rows) + "\n")
        if label_img is not None:
            pictures = summary.as_array(label_img)
            if len(pictures) != len(points):
                raise AssertionError("#images should equal with #data points")
            side = int(np.ceil(len(pictures) ** 0.5))
            grid = summary.grid_of(pictures, side)
            square = np.zeros((3, grid.shape[2], grid.shape[2]), grid.dtype)
            square[:, :grid.shape[1]] = grid
            info.sprite.image_path = str(folder / "sprite.png")
            info.sprite.single_image_dim.extend([pictures.shape[3], pictures.shape[2]])
            (root / info.sprite.image_path).write_bytes(summary.png(summary.picture_of(square, "CHW")))
        (root / "projector_config.pbtxt").write_text(text_format.MessageToString(self._projector_config))

    # -- what is not offered -----------------------------------------------------------------------------------------

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False,
                  use_strict_trace: bool = True) -> None:
        """Accepted, with a warning: models are not traced here, so there is no graph to write."""
        warnings.warn("SummaryWriter.add_graph writes nothing: minitorch_bn does not trace models", stacklevel=2)

    def _not_offered(self, *args: Any, **kwargs: Any) -> None:
        """NotImplementedError: videos, meshes and ONNX graphs are not written."""
        raise NotImplementedError("minitorch_bn's SummaryWriter writes no videos, meshes and ONNX graphs")

    add_video = add_mesh = add_onnx_graph = _not_offered

    # -- files -------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Wait until everything is in the files."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Flush and close the files; what is added later starts new ones."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
