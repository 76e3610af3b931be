"""Automatic differentiation: backward and grad, custom functions, grad modes, anomaly detection, checks."""
from minitorch_bn._core import Node, grad, is_grad_enabled
from minitorch_bn._core import run_backward as backward
from minitorch_bn._modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from minitorch_bn._names import lookup as _lookup
from minitorch_bn.autograd import functional, graph
from minitorch_bn.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from minitorch_bn.autograd.function import Function
from minitorch_bn.autograd.gradcheck import gradcheck, gradgradcheck


def Variable(data, requires_grad: bool = False):
    """`data` itself: tensors and variables are one since PyTorch 0.4."""
    return data.requires_grad_(requires_grad) if requires_grad else data


__all__ = ["Function", "Node", "Variable", "backward", "detect_anomaly", "enable_grad", "functional", "grad",
           "gradcheck", "gradgradcheck", "graph", "inference_mode", "is_grad_enabled", "no_grad", "set_detect_anomaly",
           "set_grad_enabled"]

TYPE_CHECKING = False
if not TYPE_CHECKING:
    __getattr__ = _lookup(__name__)
