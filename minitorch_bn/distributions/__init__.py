"""torch.distributions: families of probability distributions with samples, densities, moments and divergences."""
from minitorch_bn.distributions import constraints, kl, transforms
from minitorch_bn.distributions.bernoulli import Bernoulli
from minitorch_bn.distributions.beta import Beta
from minitorch_bn.distributions.binomial import Binomial
from minitorch_bn.distributions.categorical import Categorical
from minitorch_bn.distributions.cauchy import Cauchy
from minitorch_bn.distributions.chi2 import Chi2
from minitorch_bn.distributions.constraint_registry import biject_to, transform_to
from minitorch_bn.distributions.continuous_bernoulli import ContinuousBernoulli
from minitorch_bn.distributions.dirichlet import Dirichlet
from minitorch_bn.distributions.distribution import Distribution
from minitorch_bn.distributions.exp_family import ExponentialFamily
from minitorch_bn.distributions.exponential import Exponential
from minitorch_bn.distributions.fishersnedecor import FisherSnedecor
from minitorch_bn.distributions.gamma import Gamma
from minitorch_bn.distributions.generalized_pareto import GeneralizedPareto
from minitorch_bn.distributions.geometric import Geometric
from minitorch_bn.distributions.gumbel import Gumbel
from minitorch_bn.distributions.half_cauchy import HalfCauchy
from minitorch_bn.distributions.half_normal import HalfNormal
from minitorch_bn.distributions.independent import Independent
from minitorch_bn.distributions.inverse_gamma import InverseGamma
from minitorch_bn.distributions.kl import kl_divergence, register_kl
from minitorch_bn.distributions.kumaraswamy import Kumaraswamy
from minitorch_bn.distributions.laplace import Laplace
from minitorch_bn.distributions.lkj_cholesky import LKJCholesky
from minitorch_bn.distributions.log_normal import LogNormal
from minitorch_bn.distributions.logistic_normal import LogisticNormal
from minitorch_bn.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from minitorch_bn.distributions.mixture_same_family import MixtureSameFamily
from minitorch_bn.distributions.multinomial import Multinomial
from minitorch_bn.distributions.multivariate_normal import MultivariateNormal
from minitorch_bn.distributions.negative_binomial import NegativeBinomial
from minitorch_bn.distributions.normal import Normal
from minitorch_bn.distributions.one_hot_categorical import OneHotCategorical, OneHotCategoricalStraightThrough
from minitorch_bn.distributions.pareto import Pareto
from minitorch_bn.distributions.poisson import Poisson
from minitorch_bn.distributions.relaxed_bernoulli import RelaxedBernoulli
from minitorch_bn.distributions.relaxed_categorical import RelaxedOneHotCategorical
from minitorch_bn.distributions.studentT import StudentT
from minitorch_bn.distributions.transformed_distribution import TransformedDistribution
from minitorch_bn.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    CatTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    PowerTransform,
    ReshapeTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StackTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from minitorch_bn.distributions.uniform import Uniform
from minitorch_bn.distributions.von_mises import VonMises
from minitorch_bn.distributions.weibull import Weibull
from minitorch_bn.distributions.wishart import Wishart

__all__ = ["AbsTransform", "AffineTransform", "Bernoulli", "Beta", "Binomial", "CatTransform", "Categorical", "Cauchy",
           "Chi2", "ComposeTransform", "ContinuousBernoulli", "CorrCholeskyTransform",
           "CumulativeDistributionTransform", "Dirichlet", "Distribution", "ExpTransform", "Exponential",
           "ExponentialFamily", "FisherSnedecor", "Gamma", "GeneralizedPareto", "Geometric", "Gumbel", "HalfCauchy",
           "HalfNormal", "Independent", "IndependentTransform", "InverseGamma", "Kumaraswamy", "LKJCholesky",
           "Laplace", "LogNormal", "LogisticNormal", "LowRankMultivariateNormal", "LowerCholeskyTransform",
           "MixtureSameFamily", "Multinomial", "MultivariateNormal", "NegativeBinomial", "Normal", "OneHotCategorical",
           "OneHotCategoricalStraightThrough", "Pareto", "Poisson", "PositiveDefiniteTransform", "PowerTransform",
           "RelaxedBernoulli", "RelaxedOneHotCategorical", "ReshapeTransform", "SigmoidTransform", "SoftmaxTransform",
           "SoftplusTransform", "StackTransform", "StickBreakingTransform", "StudentT", "TanhTransform", "Transform",
           "TransformedDistribution", "Uniform", "VonMises", "Weibull", "Wishart", "biject_to", "constraints",
           "identity_transform", "kl", "kl_divergence", "register_kl", "transform_to", "transforms"]
