"""Under stream="torch", the numbers are PyTorch's own: draws, initial weights, the order of a DataLoader, states."""
# ruff: noqa: B023 - the functions that close over loop variables are called in the same turn

import contextlib
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference")

import minitorch_bn as ours  # noqa: E402

from .bridge import DTYPES  # noqa: E402

FLOATS = ("float32", "float64", "float16", "bfloat16")
# Sizes around the 16 of a block of normal numbers, the 624 of a block of words, and shapes of images and weights.
SHAPES = [(), (0,), (1,), (2,), (7,), (15,), (16,), (17,), (31,), (33,), (300,), (625,), (3, 5),
          (8, 3, 3, 3), (2, 0), (40, 41)]


@pytest.fixture(autouse=True)
def _our_own_stream_again():
    state = ours.get_rng_state()
    yield
    ours.set_rng_state(state)


def both(draw, seed=7):
    """What `draw(library)` gives in either library, as NumPy arrays, and one more number to see where each stands."""
    ours.manual_seed(seed, stream="torch")
    torch.manual_seed(seed)
    for lib in (ours, torch):
        result = draw(lib)
        yield [x.detach().to(lib.float64).numpy() if x.dtype in (lib.bfloat16, lib.float16) else x.detach().numpy()
               for x in (result if isinstance(result, (list, tuple)) else [result])], lib.rand(1).item()


def same(draw, ulps=0, seed=7, strides=True):
    (mine, after), (reference, place) = both(draw, seed)
    for a, b in zip(mine, reference, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype and (a.strides == b.strides or not a.size or not strides)
        if ulps and a.dtype.kind == "f":
            scale = np.maximum(np.abs(b), np.abs(b).max(initial=0) * 2e-1)  # near zeros of the cosine
            assert (np.abs(a - b) <= ulps * np.finfo(a.dtype).eps * scale).all(), np.abs(a - b).max()
        else:
            assert np.array_equal(a, b)
    assert after == place, "the streams are at different places"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
class TestReal:
    def test_rand(self, shape, dtype):
        same(lambda lib: lib.rand(shape, dtype=getattr(lib, dtype)))

    def test_randn(self, shape, dtype):
        ulps = {"float32": 4, "float64": 2}.get(dtype, 0)
        same(lambda lib: lib.randn(shape, dtype=getattr(lib, dtype)), ulps)

    def test_uniform_and_normal_with_parameters(self, shape, dtype):
        same(lambda lib: lib.empty(shape, dtype=getattr(lib, dtype)).uniform_(-0.37, 1.13))
        same(lambda lib: lib.empty(shape, dtype=getattr(lib, dtype)).normal_(-0.2, 2.5), 0 if "16" in dtype else 4)

    def test_other_distributions(self, shape, dtype):
        for draw in (lambda x: x.exponential_(0.7), lambda x: x.log_normal_(0.1, 0.5), lambda x: x.cauchy_(0.5, 2.0),
                     lambda x: x.geometric_(0.3)):
            same(lambda lib, draw=draw: draw(lib.empty(shape, dtype=getattr(lib, dtype))), 2)

    def test_chances(self, shape, dtype):
        same(lambda lib: lib.empty(shape, dtype=getattr(lib, dtype)).bernoulli_(0.3))
        same(lambda lib: lib.bernoulli(lib.rand(shape, dtype=getattr(lib, dtype))))
        for p in (0.4, 1.0):
            same(lambda lib: lib.nn.functional.dropout(lib.ones(shape, dtype=getattr(lib, dtype)), p), 1)


@pytest.mark.parametrize("name", [str(d).rpartition(".")[2] for d in DTYPES])
def test_integers(name):
    for span in (1, 2, 10, 100, 255, (1 << 28) - 1, 1 << 28, 1 << 31, (1 << 40) + 7, (1 << 63) - 1):
        top = torch.iinfo(getattr(torch, name)).max if "int" in name else 2 if name == "bool" else 200
        if span <= top:
            same(lambda lib: lib.randint(span, (50,), dtype=getattr(lib, name)))
    same(lambda lib: lib.empty(100, dtype=getattr(lib, name)).random_())
    if name != "bool":
        same(lambda lib: lib.randint(3, 90, (7, 3), dtype=getattr(lib, name)))
        same(lambda lib: lib.empty(100, dtype=getattr(lib, name)).random_(100))
        same(lambda lib: lib.empty(100, dtype=getattr(lib, name)).random_(5, 77))
    if name.startswith("int") or name == "float32":
        same(lambda lib: lib.empty(100, dtype=getattr(lib, name)).random_(10, None))
    same(lambda lib: lib.randint(-5, 5, (6,)))
    same(lambda lib: lib.empty(5, dtype=lib.int64).random_(-(1 << 63), None))


def test_memory_order_of_views():
    for shape in ((4, 3), (8, 5, 2)):
        for fill in ("uniform_", "normal_", "exponential_", "bernoulli_", "random_", "geometric_"):
            for view in (lambda x: x.transpose(0, -1), lambda x: x[::2], lambda x: x[:, 1:], lambda x: x.flip(0)):
                for dtype in ("float32", "float64"):
                    def draw(lib):
                        x = view(lib.zeros(shape, dtype=getattr(lib, dtype)))
                        return getattr(x, fill)(*((0.3,) if fill == "geometric_" else ()))
                    same(draw, 2)
    for size in (2, 6):
        same(lambda lib: lib.empty(2, 3, size, size).to(memory_format=lib.channels_last).normal_(), 4)
    for name in ("rand_like", "randn_like"):
        same(lambda lib: getattr(lib, name)(lib.zeros(9, 5).t()), 4)
        same(lambda lib: getattr(lib, name)(lib.zeros(9, 5), dtype=lib.float64), 4)
    same(lambda lib: lib.nn.functional.dropout(lib.ones(9, 5).t(), 0.4), 1, strides=False)
    same(lambda lib: lib.bernoulli(lib.rand(5, 4).t()))
    same(lambda lib: lib.empty(4, 5).bernoulli_(lib.rand(5, 4).t()))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 625, 5000])
def test_permutations(n):
    same(lambda lib: lib.randperm(n))
    same(lambda lib: lib.randperm(n, dtype=lib.int32))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sampling(dtype):
    def weights(lib):
        return lib.arange(1, 31, dtype=getattr(lib, dtype)).view(3, 10)
    for count in (1, 2, 10):
        same(lambda lib: lib.multinomial(weights(lib), count))
    for count in (1, 2, 50):
        same(lambda lib: lib.multinomial(weights(lib), count, replacement=True))
        same(lambda lib: lib.multinomial(weights(lib)[0], count, replacement=True))
    same(lambda lib: lib.normal(weights(lib), weights(lib) / 9), 4)
    same(lambda lib: lib.normal(2.0, weights(lib)), 4)
    same(lambda lib: lib.normal(2.0, 0.5, (5, 5)), 4)
    same(lambda lib: lib.normal(weights(lib).t(), weights(lib).t()), 4, strides=False)
    same(lambda lib: lib.multinomial(weights(lib).view(10, 3).t(), 2))
    same(lambda lib: lib.randint_like(weights(lib).t(), 50))


def test_a_pair_of_normal_numbers_is_shared_between_calls():
    same(lambda lib: [lib.randn(3), lib.randn(5), lib.rand(2), lib.randn(1), lib.randn(20),
                      lib.randn(2, dtype=lib.float64)], 4)


@pytest.mark.parametrize("seed", [0, 1, 42, (1 << 32) - 1, 1 << 32, (1 << 63) + 5, -1, -(1 << 63)])
def test_seeds(seed):
    same(lambda lib: [lib.rand(700), lib.randperm(20)], seed=seed)
    assert ours.initial_seed() == torch.initial_seed()


LAYERS = {
    "Linear": lambda nn: nn.Linear(7, 5), "Conv1d": lambda nn: nn.Conv1d(4, 6, 3),
    "Conv2d": lambda nn: nn.Conv2d(3, 8, 3), "Conv3d": lambda nn: nn.Conv3d(2, 4, 2),
    "ConvTranspose2d": lambda nn: nn.ConvTranspose2d(3, 4, 3),
    "Embedding": lambda nn: nn.Embedding(50, 9, padding_idx=1), "LSTM": lambda nn: nn.LSTM(5, 6, 2, bidirectional=True),
    "GRU": lambda nn: nn.GRU(5, 6), "RNN": lambda nn: nn.RNN(5, 6), "LSTMCell": lambda nn: nn.LSTMCell(4, 3),
    "Bilinear": lambda nn: nn.Bilinear(3, 4, 5), "BatchNorm2d": lambda nn: nn.BatchNorm2d(3),
    "MultiheadAttention": lambda nn: nn.MultiheadAttention(8, 2),
    "Transformer": lambda nn: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2),
    "Sequential": lambda nn: nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(24, 10),
                                          nn.Linear(10, 2)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer", LAYERS)
def test_initial_weights(layer):
    names = {}

    def make(lib):
        state = LAYERS[layer](lib.nn).state_dict()
        names[lib] = list(state)
        return list(state.values())
    same(make, 4)
    assert names[ours] == names[torch]


def test_init_functions():
    for name, args in (("uniform_", ()), ("normal_", ()), ("xavier_uniform_", ()), ("xavier_normal_", ()),
                       ("kaiming_uniform_", ()), ("kaiming_normal_", ()), ("trunc_normal_", ()),
                       ("trunc_normal_", (0.3, 0.5, 0.0, 0.4)), ("trunc_normal_", (0.0, 1.0, 1.5, 3.0)),
                       ("sparse_", (0.3,))):
        same(lambda lib: getattr(lib.nn.init, name)(lib.empty(9, 8), *args), 8)


def loader_order(lib, **options):
    data = lib.utils.data.TensorDataset(lib.arange(37))
    loader = lib.utils.data.DataLoader(data, batch_size=5, **options)
    return [batch for _ in range(2) for (batch,) in loader]


def test_data_loading():
    same(lambda lib: loader_order(lib, shuffle=True))
    same(lambda lib: loader_order(lib, shuffle=True, generator=lib.Generator().manual_seed(3)))
    same(lambda lib: loader_order(lib, sampler=lib.utils.data.WeightedRandomSampler([1.0, 2.0, 5.0], 20)))
    same(lambda lib: loader_order(lib, sampler=lib.utils.data.RandomSampler(range(30), True, 50)))
    same(lambda lib: loader_order(lib, sampler=lib.utils.data.SubsetRandomSampler(range(9))))

    def split(lib, **options):
        return [lib.tensor(part.indices) for part in lib.utils.data.random_split(range(20), [0.5, 0.5], **options)]
    same(split)
    same(lambda lib: split(lib, generator=lib.Generator().manual_seed(42)))


@pytest.mark.filterwarnings("ignore")
def test_dropout_layers():
    for name, shape in (("Dropout", (4, 5)), ("Dropout1d", (4, 5, 3)), ("Dropout2d", (4, 5, 3, 2)),
                        ("AlphaDropout", (4, 5)), ("FeatureAlphaDropout", (4, 5, 3))):
        same(lambda lib: getattr(lib.nn, name)(0.4)(lib.ones(shape)), 8)
    same(lambda lib: lib.nn.functional.gumbel_softmax(lib.zeros(4, 5)), 16)


def test_a_training_run_has_the_same_losses():
    losses = {}

    def train(lib):
        nn, data = lib.nn, lib.utils.data
        x = lib.randn(64, 5)
        loader = data.DataLoader(data.TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16, shuffle=True)
        model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
        optimizer = lib.optim.Adam(model.parameters(), 0.01)
        losses[lib] = []
        for _ in range(5):
            for inputs, targets in loader:
                loss = nn.functional.mse_loss(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses[lib].append(loss.item())
        return lib.rand(1)
    same(train)
    assert np.allclose(losses[ours], losses[torch], rtol=1e-4)


def test_states_can_be_exchanged():
    torch.manual_seed(11)
    ours.manual_seed(0, stream="torch")
    for draw in (lambda lib: lib.rand(5), lambda lib: lib.randn(3), lambda lib: lib.rand(616), lambda lib: lib.rand(1)):
        ours.set_rng_state(ours.tensor(torch.get_rng_state().tolist(), dtype=ours.uint8))
        assert np.array_equal(draw(ours).numpy(), draw(torch).numpy())
        assert ours.get_rng_state().tolist() == torch.get_rng_state().tolist()
    torch.set_rng_state(torch.tensor(ours.get_rng_state().tolist(), dtype=torch.uint8))
    assert torch.rand(1).item() == ours.rand(1).item()
    with ours.random.fork_rng():
        inside = ours.rand(3)
    assert ours.equal(inside, ours.rand(3))


def test_generators():
    reference = torch.Generator().manual_seed(5)
    for make in (lambda: ours.Generator(stream="torch").manual_seed(5),
                 lambda: ours.Generator().manual_seed(5, stream="torch")):
        generator = make()
        assert generator.get_stream() == "torch" and generator.initial_seed() == 5
        assert generator.get_state().tolist() == reference.get_state().tolist()
        x = ours.rand(5, generator=generator)
        assert x.tolist() == torch.rand(5, generator=torch.Generator().manual_seed(5)).tolist()
        copies = generator.clone_state(), pickle.loads(pickle.dumps(generator))
        following = ours.rand(5, generator=generator).tolist()
        assert all(ours.rand(5, generator=copy).tolist() == following for copy in copies)
        generator.manual_seed(5)
        assert ours.rand(5, generator=generator).tolist() == x.tolist()
    assert ours.default_generator.get_stream() == "philox"
    with pytest.raises(ValueError, match="stream"):
        ours.manual_seed(0, stream="cuda")
    with pytest.raises((RuntimeError, TypeError)):
        generator.set_state(ours.zeros(5056, dtype=ours.uint8))
    with pytest.raises((RuntimeError, TypeError)):
        generator.set_state(ours.zeros(5000, dtype=ours.uint8))


def test_the_default_numbers_are_as_before():
    ours.manual_seed(3)
    before = ours.rand(4).tolist()
    with contextlib.suppress(ValueError):
        ours.manual_seed(3, stream="torch")
    assert ours.rand(4).tolist() != before
    ours.manual_seed(3)  # the stream stays until another is chosen
    assert ours.rand(4).tolist() == torch.rand(4, generator=torch.Generator().manual_seed(3)).tolist()
    ours.manual_seed(3, stream="philox")
    assert ours.rand(4).tolist() == before
