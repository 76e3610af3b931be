"""Scalers against scikit-learn, bit for bit in float64; transforms against NumPy."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest

import minitorch_bn as mt
from minitorch_bn.preprocessing import MinMaxScaler, Scale255, StandardScaler, transforms

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


ESTIMATORS = [StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False), MinMaxScaler(),
              MinMaxScaler((-1, 1), clip=True), Scale255()]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_passes_scikit_learns_own_checks(estimator):
    """All of `check_estimator`: no failure is expected, so none is listed."""
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = checks.check_estimator(estimator, on_skip=None, on_fail=None)
    assert len(results) > 40
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] not in ("passed", "skipped")] == []


def test_in_a_pipeline():
    """clone, parameters by name, names of features, and a grid search over the scaler itself."""
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler as Theirs

    x, y = _samples("full", np.float64), np.arange(57) % 2
    ours, theirs = (make_pipeline(kind(), LogisticRegression()).fit(x, y) for kind in (StandardScaler, Theirs))
    np.testing.assert_array_equal(ours.predict_proba(x), theirs.predict_proba(x))
    assert list(ours[:-1].get_feature_names_out()) == [f"x{i}" for i in range(7)]
    pipe = Pipeline([("bytes", Scale255()), ("scale", StandardScaler()), ("fit", LogisticRegression())])
    copy = clone(pipe).set_params(scale__with_std=False)
    assert copy.get_params()["scale__with_std"] is False and pipe.get_params()["scale__with_std"] is True
    search = GridSearchCV(pipe, {"scale": [StandardScaler(), MinMaxScaler()], "fit__C": [0.1, 1]}, cv=2).fit(x, y)
    assert type(search.best_estimator_["scale"]) in (StandardScaler, MinMaxScaler)
    assert repr(StandardScaler(with_mean=False)) == "StandardScaler(with_mean=False)" and "Pipeline" in repr(pipe)
    with pytest.raises(ValueError, match="Invalid parameter"):
        StandardScaler().set_params(mean=False)


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_data_frames(frames):
    sklearn = pytest.importorskip("sklearn.preprocessing")
    library = pytest.importorskip(frames)
    x = _samples("full", np.float64)
    frame = library.DataFrame({f"f{i}": x[:, i] for i in range(7)})
    scaler = StandardScaler().set_output(transform=frames).fit(frame)
    scaled = scaler.transform(frame)
    assert isinstance(scaled, library.DataFrame) and list(scaled.columns) == [f"f{i}" for i in range(7)]
    np.testing.assert_array_equal(np.asarray(scaled), sklearn.StandardScaler().fit_transform(frame))
    assert isinstance(scaler.transform(mt.from_numpy(x)), mt.Tensor)  # whatever was set
    with pytest.raises(ValueError, match="feature names"):
        scaler.transform(frame.rename(columns={"f1": "g"}) if frames == "pandas" else frame.rename({"f1": "g"}))


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_input_and_weights(form, weighted):
    sparse = pytest.importorskip("scipy.sparse")
    sklearn = pytest.importorskip("sklearn.preprocessing")
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (40, 5)) * (rng.random((40, 5)) < 0.3)
    x[3, 1] = np.nan
    weights = rng.random(40) if weighted else None
    ours, theirs = StandardScaler(with_mean=False), sklearn.StandardScaler(with_mean=False)
    for part in np.array_split(np.arange(40), 2):
        some = None if weights is None else weights[part]
        ours.partial_fit(sparse.csr_array(x[part]).asformat(form), sample_weight=some)
        theirs.partial_fit(x[part], sample_weight=some)
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.var_, theirs.var_, rtol=1e-12)
    np.testing.assert_allclose(ours.n_samples_seen_, theirs.n_samples_seen_, rtol=1e-12)
    scaled = ours.transform(sparse.csr_array(x).asformat(form))
    assert sparse.issparse(scaled)
    np.testing.assert_allclose(scaled.toarray(), theirs.transform(x), rtol=1e-12)
    np.testing.assert_allclose(ours.inverse_transform(scaled).toarray(), x, rtol=1e-12)
    with pytest.raises(ValueError, match="center sparse"):
        StandardScaler().fit(sparse.csr_array(x))
    with pytest.raises(TypeError, match="sparse"):
        MinMaxScaler().fit(sparse.csr_array(x))


def test_weights_count_samples():
    x = _samples("some NaN", np.float64)
    times = np.arange(57) % 3
    weighted = StandardScaler().fit(x, sample_weight=times)
    repeated = StandardScaler().fit(np.repeat(x, times, axis=0))
    np.testing.assert_allclose(weighted.mean_, repeated.mean_, rtol=1e-12)
    np.testing.assert_allclose(weighted.var_, repeated.var_, rtol=1e-9, atol=1e-300)
    for wrong in np.zeros(57), np.ones(3), np.full(57, np.nan):
        with pytest.raises(ValueError, match="weight"):
            StandardScaler().fit(x, sample_weight=wrong)


def test_no_copy_writes_to_the_input():
    x = _samples("full", np.float64)
    expected = StandardScaler().fit_transform(x)
    own = x.copy()
    assert np.shares_memory(StandardScaler(copy=False).fit(x).transform(own), own)
    np.testing.assert_array_equal(own, expected)


def test_a_scaler_is_a_transform_of_samples():
    """Of one sample (F,), of several (..., F), of a whole image that was fitted flat; and in a Compose."""
    x = _samples("full", np.float32)[:, :6]
    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    np.testing.assert_array_equal(scaler(x[3]), scaled[3])
    np.testing.assert_array_equal(scaler(mt.from_numpy(x[:4]).reshape(2, 2, 6)).numpy(), scaled[:4].reshape(2, 2, 6))
    pipeline = transforms.Compose([scaler, transforms.Lambda(lambda t: t + 1)])
    np.testing.assert_array_equal(pipeline(mt.from_numpy(x[5].reshape(1, 2, 3))).numpy(),
                                  scaled[5].reshape(1, 2, 3) + 1)
    assert Scale255()(np.array([[51]], np.uint8)).tolist() == [[0.2]]
    assert Scale255()(mt.tensor([51], dtype=mt.uint8)).dtype == mt.float32
    np.testing.assert_allclose(Scale255().transform([[51, 255]]), [[0.2, 1.0]])
    np.testing.assert_allclose(Scale255().inverse_transform([[0.2, 1.0]]), [[51, 255]])


nn = mt.nn
LAYERS = [
    (lambda: nn.Linear(6, 4), (9, 6)), (lambda: nn.Linear(6, 4, bias=False), (9, 6)),
    (lambda: nn.Conv2d(6, 4, 3), (2, 6, 5, 5)), (lambda: nn.Conv2d(6, 4, 3, groups=2, stride=2), (2, 6, 7, 5)),
    (lambda: nn.Conv1d(6, 6, 3, groups=6, padding=2, padding_mode="circular"), (3, 6, 8)),
    (lambda: nn.Conv3d(6, 2, 2, dilation=2, bias=False), (1, 6, 4, 4, 4)),
]


@pytest.mark.parametrize("make, shape", LAYERS)
@pytest.mark.parametrize("scaler", [StandardScaler(), StandardScaler(with_std=False), MinMaxScaler((-2, 3)),
                                    Scale255()])
def test_folds_into_the_first_layer(scaler, make, shape):
    mt.manual_seed(0)
    layer = make().double()
    x = np.random.default_rng(0).normal(100, 30, shape)
    rows = np.moveaxis(x, 1, -1).reshape(-1, 6)
    scaled = np.moveaxis(scaler.fit(rows).transform(rows).reshape(np.moveaxis(x, 1, -1).shape), -1, 1)
    folded = scaler.fold_into(layer)
    expected = layer(mt.from_numpy(np.ascontiguousarray(scaled)))
    np.testing.assert_allclose(folded(mt.from_numpy(x)).detach().numpy(), expected.detach().numpy(), rtol=1e-9,
                               atol=1e-9)
    assert type(folded) is type(layer) and folded is not layer and folded.weight.dtype == mt.float64


def test_transforms_of_images_fold_in_their_order():
    layer = nn.Conv2d(3, 4, 3)
    pipeline = transforms.Compose([Scale255(), transforms.Normalize((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))])
    image = mt.randint(0, 256, (2, 3, 6, 6), dtype=mt.uint8)
    folded = pipeline.fold_into(layer)
    np.testing.assert_allclose(folded(image.float()).detach().numpy(), layer(pipeline(image)).detach().numpy(),
                               rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="Lambda"):
        transforms.Compose([transforms.Lambda(abs)]).fold_into(layer)


def test_folding_that_would_be_wrong_is_refused():
    x = np.random.default_rng(0).normal(5, 2, (20, 6))
    scaler = StandardScaler().fit(x)
    with pytest.raises(ValueError, match="pads the scaled input with 0"):
        scaler.fold_into(nn.Conv2d(6, 4, 3, padding=1))
    with pytest.raises(ValueError, match="unevenly"):
        scaler.fold_into(nn.ConvTranspose2d(6, 4, 3))
    with pytest.raises(ValueError, match="6 features, the layer 5 inputs"):
        scaler.fold_into(nn.Linear(5, 2))
    with pytest.raises(ValueError, match="clip"):
        MinMaxScaler(clip=True).fit(x).fold_into(nn.Linear(6, 2))
    with pytest.raises(ValueError, match="linear layer or a convolution"):
        scaler.fold_into(nn.ReLU())
    with pytest.raises(ValueError, match="not fitted"):
        StandardScaler().fold_into(nn.Linear(6, 2))
    layer = nn.ConvTranspose2d(6, 4, 3, groups=2).double()
    folded = StandardScaler(with_mean=False).fit(x).fold_into(layer)  # without a shift it can be done
    image = np.random.default_rng(1).normal(size=(2, 6, 4, 4))
    scaled = image / scaler.scale_.reshape(6, 1, 1)
    np.testing.assert_allclose(folded(mt.from_numpy(image)).detach().numpy(),
                               layer(mt.from_numpy(scaled)).detach().numpy(), rtol=1e-9, atol=1e-12)
    assert Scale255().fold_into(nn.Conv2d(3, 4, 3, padding=1)).weight.shape == (4, 3, 3, 3)


def test_scikit_learn_is_not_needed(tmp_path):
    """Nothing of it is loaded by importing or using the scalers with arrays and tensors."""
    import os
    import subprocess
    import sys
    from pathlib import Path

    code = ("import sys, minitorch_bn as t; from minitorch_bn.preprocessing import *; import numpy as np\n"
            "x = np.random.rand(9, 3); s = StandardScaler().fit(x); s.transform(t.from_numpy(x)); s.get_params()\n"
            "MinMaxScaler().fit_transform([[1.0], [2.0]]); s(x[0]); s.set_output(transform='default')\n"
            "assert not any(name.partition('.')[0] in ('sklearn', 'scipy') for name in sys.modules)")
    folder = str(Path(mt.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=dict(os.environ, PYTHONPATH=folder))
