"""Everything around training: data loading."""
from minitorch_bn._names import lookup as _lookup

TYPE_CHECKING = False
if not TYPE_CHECKING:
    __getattr__ = _lookup(__name__)
