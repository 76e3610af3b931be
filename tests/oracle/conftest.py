"""What every comparison with PyTorch starts from."""
import pytest

import minitorch_bn


@pytest.fixture(autouse=True)
def own_random_numbers():
    """A test may switch the default generator to PyTorch's stream; the next one starts with ours."""
    minitorch_bn.manual_seed(0, stream="philox")
