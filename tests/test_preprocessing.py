"""Scalers against scikit-learn, bit for bit in float64; transforms against NumPy."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest

import minitorch_bn as mt
from minitorch_bn.preprocessing import MinMaxScaler, StandardScaler, transforms

ATTRIBUTES = ("mean_ var_ scale_ n_samples_seen_ data_min_ data_max_ data_range_ min_ n_features_in_").split()
SCALERS = [
    ("StandardScaler", {}), ("StandardScaler", {"with_mean": False}), ("StandardScaler", {"with_std": False}),
    ("StandardScaler", {"with_mean": False, "with_std": False}),
    ("MinMaxScaler", {}), ("MinMaxScaler", {"feature_range": (-1, 2), "clip": True}),
]


def _samples(kind, dtype):
    """Features of very different sizes, some constant or nearly so, with NaNs in some cases."""
    rng = np.random.default_rng(0)
    x = rng.normal(3, 10, (57, 7)) * 10.0 ** rng.integers(-3, 4, 7)
    x[:, 2], x[:, 3], x[:, 4], x[:, 6] = 5, 1e8 + 1e-9 * rng.normal(size=57), 0.1, 0
    if kind == "some NaN":
        x[rng.random(x.shape) < 0.2] = np.nan
    elif kind == "NaN feature":
        x[:, 5] = np.nan
    return x.astype(dtype)


@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize("kind, dtype", [("full", np.float64), ("some NaN", np.float64), ("NaN feature", np.float64),
                                         ("full", np.int64), ("some NaN", np.float32)])
@pytest.mark.parametrize("name, options", SCALERS)
def test_equals_scikit_learn(name, options, kind, dtype, batches):
    sklearn = pytest.importorskip("sklearn.preprocessing")
    ours, theirs = globals()[name](**options), getattr(sklearn, name)(**options)
    x = _samples(kind, dtype)
    # In float64 every bit is scikit-learn's. How it rounds on the way to float32 has changed between its releases.
    close = partial(np.testing.assert_allclose, rtol=4e-6, atol=1e-6)
    same = close if dtype is np.float32 else np.testing.assert_array_equal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in np.array_split(x, batches):
            ours.partial_fit(part)
            theirs.partial_fit(part)
        for attribute in ATTRIBUTES:
            if hasattr(theirs, attribute):
                mine, its = getattr(ours, attribute), getattr(theirs, attribute)
                assert (mine is None) == (its is None)
                if mine is not None:
                    same(mine, its, err_msg=attribute)
        scaled = ours.transform(x)
        same(scaled, theirs.transform(x))
        same(ours.inverse_transform(scaled), theirs.inverse_transform(scaled))
        assert scaled.dtype == theirs.transform(x).dtype
        same(globals()[name](**options).fit_transform(x), theirs.fit(x).transform(x))


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler()])
def test_tensors_give_tensors(scaler):
    x = _samples("full", np.float64)
    tensor = mt.from_numpy(x)
    scaled = scaler.fit_transform(tensor)
    assert isinstance(scaled, mt.Tensor) and scaled.dtype == mt.float64
    np.testing.assert_array_equal(scaled.numpy(), scaler.fit_transform(x))
    np.testing.assert_array_equal(tensor.numpy(), x)  # untouched
    np.testing.assert_allclose(scaler.inverse_transform(scaled).numpy(), x, rtol=1e-6, atol=1e-6)
    again = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(again.transform(x), scaler.transform(x))


def test_bad_input():
    scaler = StandardScaler()
    with pytest.raises(ValueError, match="not fitted yet"):
        scaler.transform(np.ones((2, 2)))
    with pytest.raises(ValueError, match="Expected 2D array"):
        scaler.fit(np.ones(3))
    with pytest.raises(ValueError, match="infinity"):
        scaler.fit(np.array([[np.inf]]))
    with pytest.raises(ValueError, match="0 sample"):
        scaler.fit(np.ones((0, 2)))
    with pytest.raises(ValueError, match="numbers"):
        scaler.fit(np.array([["a"]]))
    with pytest.raises(ValueError, match="X has 3 features, but StandardScaler is expecting 2"):
        scaler.fit(np.ones((2, 2))).transform(np.ones((2, 3)))
    with pytest.raises(ValueError, match="must be smaller than maximum"):
        MinMaxScaler((1, 0)).fit(np.ones((2, 2)))


def test_transforms():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    to_tensor = transforms.ToTensor()
    tensor = to_tensor(image)
    assert tensor.dtype == mt.float32 and tensor.shape == (3, 2, 4)
    np.testing.assert_array_equal(tensor.numpy(), image.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    assert to_tensor(np.ones((2, 3))).shape == (1, 2, 3)
    normalize = transforms.Normalize((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    pipeline = transforms.Compose([to_tensor, normalize, transforms.Lambda(lambda x: x * 2)])
    expected = (tensor.numpy() - np.float32([0.1, 0.2, 0.3])[:, None, None]) / np.float32([0.5, 0.25, 2])[:, None, None]
    np.testing.assert_allclose(pipeline(image).numpy(), expected * 2, rtol=1e-6)
    assert repr(pipeline) == ("Compose(\n    ToTensor()\n    Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))\n"
                              "    Lambda()\n)")
    assert transforms.Scale255()(mt.tensor([255, 51])).tolist() == pytest.approx([1.0, 0.2])
    assert transforms.ToFloat()(mt.tensor([127.5])).tolist() == [0.5]
    with pytest.raises(TypeError, match="float tensor"):
        normalize(mt.zeros(3, 2, 2, dtype=mt.uint8))
    with pytest.raises(ValueError, match="std evaluated to zero"):
        transforms.Normalize(0.0, 0.0)(mt.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="2/3 dimensional"):
        to_tensor(np.ones(3))
    with pytest.raises(TypeError, match="callable"):
        transforms.Lambda(3)
