"""Values as TensorBoard's Summary messages: numbers, histograms, pictures, sound, text, tables of experiments."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

import minitorch_bn as torch


def as_array(value: Any) -> np.ndarray:
    """A tensor, array or number as an array."""
    if isinstance(value, np.ndarray):
        return value
    if np.isscalar(value):
        return np.array([value])
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return (value.to(torch.float16) if value.dtype == torch.bfloat16 else value).numpy()
    raise NotImplementedError(f"Got {type(value)}, but numpy array or torch tensor are expected.")


def _metadata(plugin: str, content: bytes = b"") -> SummaryMetadata:
    return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content))


def _one(tag: str, **fields: Any) -> Summary:
    return Summary(value=[Summary.Value(tag=tag, **fields)])


def _shape(*sizes: int) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


# -- numbers ---------------------------------------------------------------------------------------------------------


def scalar(tag: str, value: Any, new_style: bool = False, double_precision: bool = False) -> Summary:
    """One number."""
    array = as_array(value).squeeze()
    if array.ndim:
        raise AssertionError(f"Tensor should contain one element (0 dimensions). Was given size: {array.size} and "
                             f"{array.ndim} dimensions.")
    number = float(array)
    if not new_style:
        return _one(tag, simple_value=number)
    proto = (TensorProto(double_val=[number], dtype="DT_DOUBLE") if double_precision
             else TensorProto(float_val=[number], dtype="DT_FLOAT"))
    return _one(tag, tensor=proto, metadata=_metadata("scalars"))


def tensor(tag: str, value: Any) -> Summary:
    """A tensor as it is: float32 or float64, any shape."""
    value = torch.as_tensor(value).detach()
    kinds = {torch.float32: ("DT_FLOAT", "float_val"), torch.float64: ("DT_DOUBLE", "double_val"),
             torch.float16: ("DT_HALF", "half_val"), torch.uint8: ("DT_UINT8", "int_val"),
             torch.int8: ("DT_INT8", "int_val"), torch.int16: ("DT_INT16", "int_val"),
             torch.int32: ("DT_INT32", "int_val"), torch.int64: ("DT_INT64", "int64_val")}
    if value.dtype not in kinds:
        raise ValueError(f"{tag} has unsupported tensor dtype {value.dtype}")
    name, field = kinds[value.dtype]
    flat = value.reshape(-1)
    numbers = flat.view(torch.int16).tolist() if field == "half_val" else flat.tolist()
    if field == "half_val":
        numbers = [number & 0xFFFF for number in numbers]
    return _one(tag, metadata=_metadata("tensor"),
                tensor=TensorProto(dtype=name, tensor_shape=_shape(*value.shape), **{field: numbers}))


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None = None) -> Summary:
    """How often values fall into bins; only the bins from the first to the last that has some are kept."""
    numbers = as_array(values).astype(float).reshape(-1)
    if not numbers.size:
        raise ValueError("The input has no element.")
    counts, limits = np.histogram(numbers, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        merged = len(counts) // max_bins
        if len(counts) % merged:
            counts = np.pad(counts, (0, merged - len(counts) % merged))
        limits = np.append(limits[:-1:merged], limits[-1])
        counts = counts.reshape(-1, merged).sum(axis=-1)
    used = np.flatnonzero(counts)
    if not used.size:
        raise ValueError("The histogram is empty, please file a bug report.")
    first, last = int(used[0]), int(used[-1]) + 1
    # A bin is known by its right end: an empty one before the first tells its left end.
    counts = counts[first - 1:last] if first else np.append(0, counts[:last])
    return _one(tag, histo=HistogramProto(
        min=numbers.min(), max=numbers.max(), num=len(numbers), sum=numbers.sum(), sum_squares=numbers.dot(numbers),
        bucket_limit=limits[first:last + 1].tolist(), bucket=counts.tolist()))


def histogram_raw(tag: str, low: float, high: float, num: int, total: float, sum_squares: float, bucket_limits: Any,
                  bucket_counts: Any) -> Summary:
    """A histogram that somebody else counted."""
    return _one(tag, histo=HistogramProto(min=low, max=high, num=num, sum=total, sum_squares=sum_squares,
                                          bucket_limit=bucket_limits, bucket=bucket_counts))


def pr_curve(tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None) -> Summary:
    """Precision and recall of predictions in [0, 1] at evenly spaced thresholds."""
    count = min(num_thresholds, 127)
    truth, weights = as_array(labels).astype(np.float64), 1.0 if weights is None else weights
    places = np.int32(np.floor(as_array(predictions) * (count - 1)))

    def above(weight: Any) -> np.ndarray:
        found, _ = np.histogram(places, bins=count, range=(0, count - 1), weights=weight)
        return np.cumsum(found[::-1])[::-1]

    tp, fp = above(truth * weights), above((1.0 - truth) * weights)
    tn, fn = fp[0] - fp, tp[0] - tp
    return pr_curve_raw(tag, tp, fp, tn, fn, tp / np.maximum(1e-7, tp + fp), tp / np.maximum(1e-7, tp + fn), count)


def pr_curve_raw(tag: str, *rows: Any) -> Summary:
    """A curve of six rows (tp, fp, tn, fn, precision, recall), and the number of thresholds."""
    *values, count = rows
    data = np.stack([np.asarray(as_array(row)) for row in values])
    content = PrCurvePluginData(version=0, num_thresholds=min(count, 127)).SerializeToString()
    return _one(tag, metadata=_metadata("pr_curves", content),
                tensor=TensorProto(dtype="DT_FLOAT", float_val=data.reshape(-1).tolist(),
                                   tensor_shape=_shape(*data.shape)))


def custom_scalars(layout: dict) -> Summary:
    """Charts of several series: {category: {chart: ["Multiline" or "Margin", tags]}}."""
    categories = []
    for category, charts in layout.items():
        entries = []
        for title, (kind, tags, *_) in charts.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("len(tags) != 3")
                series = layout_pb2.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
                entries.append(layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series])))
            else:
                entries.append(layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags)))
        categories.append(layout_pb2.Category(title=category, chart=entries))
    content = layout_pb2.Layout(category=categories).SerializeToString()
    return _one("custom_scalars__config__", metadata=_metadata("custom_scalars"),
                tensor=TensorProto(dtype="DT_STRING", string_val=[content], tensor_shape=TensorShapeProto()))


# -- text, pictures, sound -------------------------------------------------------------------------------------------


def text(tag: str, string: str) -> Summary:
    """Text, shown as Markdown."""
    return _one(tag + "/text_summary", metadata=_metadata("text", TextPluginData(version=0).SerializeToString()),
                tensor=TensorProto(dtype="DT_STRING", string_val=[string.encode()], tensor_shape=_shape(1)))


def grid_of(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Images (N, 1 or 3, H, W) side by side in one (3, rows * H, columns * W)."""
    if images.shape[1] == 1:
        images = images.repeat(3, 1)
    if images.ndim != 4 or images.shape[1] != 3:
        raise AssertionError("Input should be a 4D numpy array with 3 channels")
    count, _, height, width = images.shape
    columns = min(count, columns)
    canvas = np.zeros((3, height * -(-count // columns), width * columns), dtype=images.dtype)
    for i, picture in enumerate(images):
        y, x = divmod(i, columns)
        canvas[:, y * height:(y + 1) * height, x * width:(x + 1) * width] = picture
    return canvas


def picture_of(value: Any, dataformats: str) -> np.ndarray:
    """Height, width, 3 or 4 channels, in bytes; floats are taken to be in [0, 1]."""
    array, order = as_array(value), dataformats.upper()
    if len(set(order)) != len(order):
        raise AssertionError(f"You can not use the same dimension shorthand twice. input_format: {dataformats}")
    if array.ndim != len(order):
        raise AssertionError("size of input tensor and input format are different. tensor shape: "
                             f"{array.shape}, input_format: {dataformats}")
    wanted = {4: "NCHW", 3: "HWC", 2: "HW"}[len(order)]
    array = array.transpose([order.find(axis) for axis in wanted])
    if len(order) == 4:
        array = grid_of(array).transpose(1, 2, 0)
    elif len(order) == 2:
        array = np.stack([array] * 3, 2)
    elif array.shape[2] == 1:
        array = array.repeat(3, 2)
    scale = 1 if array.dtype == np.uint8 else 255
    return (array.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)


def png(pixels: np.ndarray, rescale: float = 1, boxes: Any = (), labels: Any = None) -> bytes:
    """A picture in a PNG file, with boxes (left, top, right, bottom) drawn on it."""
    from PIL import Image, ImageDraw
    image = Image.fromarray(pixels)
    for i, box in enumerate(boxes):
        draw = ImageDraw.Draw(image)
        draw.rectangle([float(edge) for edge in box], outline="red", width=2)
        if labels is not None:
            draw.text((float(box[0]) + 3, float(box[1]) + 1), str(labels[i]), fill="red")
    size = int(pixels.shape[1] * rescale), int(pixels.shape[0] * rescale)
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(stream, format="PNG")
    return stream.getvalue()


def image(tag: str, value: Any, dataformats: str = "NCHW", rescale: float = 1, boxes: Any = (),
          labels: Any = None) -> Summary:
    """A picture, or several as a grid."""
    pixels = picture_of(value, dataformats)
    height, width, channels = pixels.shape
    return _one(tag, image=Summary.Image(height=height, width=width, colorspace=channels,
                                         encoded_image_string=png(pixels, rescale, boxes, labels)))


def figure_pixels(figure: Any, close: bool) -> np.ndarray:
    """Matplotlib's figure as (3, H, W) bytes."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].transpose(2, 0, 1).copy()
    if close:
        pyplot.close(figure)
    return pixels


def audio(tag: str, value: Any, sample_rate: int = 44100) -> Summary:
    """One channel of sound: numbers in [-1, 1]."""
    samples = as_array(value).squeeze()
    if np.abs(samples).max() > 1:
        samples = samples.clip(-1, 1)
    if samples.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * np.iinfo(np.int16).max).astype("<i2").tobytes())
    return _one(tag, audio=Summary.Audio(
        sample_rate=sample_rate, num_channels=1, length_frames=samples.shape[-1],
        encoded_audio_string=stream.getvalue(), content_type="audio/wav"))


# -- experiments -----------------------------------------------------------------------------------------------------


def hparams(options: dict, metrics: dict, domains: dict | None = None) -> list[Summary]:
    """The three messages of an experiment: its options and measures, their values, and that it ended."""
    for name, given in ("hparam_dict", options), ("metric_dict", metrics), ("hparam_domain_discrete", domains or {}):
        if not isinstance(given, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    domains = domains or {}
    for name, values in domains.items():
        if (name not in options or not isinstance(values, list)
                or not all(isinstance(value, type(options[name])) for value in values)):
            raise TypeError(f"parameter: hparam_domain_discrete[{name}] should be a list of same type as "
                            f"hparam_dict[{name}].")
    start = plugin_data_pb2.SessionStartInfo()
    infos = []
    for name, value in options.items():
        if value is None:
            continue
        if isinstance(value, torch.Tensor):
            value = value.item()
        if isinstance(value, str):
            field, kind = "string_value", "DATA_TYPE_STRING"
        elif isinstance(value, (int, float)):
            field, kind = "number_value", "DATA_TYPE_FLOAT64"
        else:
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        setattr(start.hparams[name], field, value)
        info = api_pb2.HParamInfo(name=name, type=api_pb2.DataType.Value(kind))
        for choice in domains.get(name, ()):
            setattr(info.domain_discrete.values.add(), field, choice)
        infos.append(info)
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=[
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in metrics])
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value("STATUS_SUCCESS"))

    def message(tag: str, **part: Any) -> Summary:
        content = plugin_data_pb2.HParamsPluginData(version=hparams_metadata.PLUGIN_DATA_VERSION, **part)
        return _one(tag, metadata=_metadata(hparams_metadata.PLUGIN_NAME, content.SerializeToString()))

    return [message(hparams_metadata.EXPERIMENT_TAG, experiment=experiment),
            message(hparams_metadata.SESSION_START_INFO_TAG, session_start_info=start),
            message(hparams_metadata.SESSION_END_INFO_TAG, session_end_info=end)]
