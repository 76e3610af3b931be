"""AdamW under the path that PyTorch gives it."""

from ._functional import functional
from .adam import AdamW as AdamW

adamw = functional(AdamW, "exp_avgs exp_avg_sqs max_exp_avg_sqs state_steps",
                   "foreach capturable differentiable fused grad_scale found_inf has_complex")
