"""The engine: Tensor, its memory and views, the graph and the engine that runs it backward. Read the parts in this
order."""
import os
import sys
import warnings
import weakref
from functools import partial
from math import prod
from time import perf_counter_ns

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New, PyCapsule_SetName
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_REFCNT, Py_XDECREF
from libc.stdint cimport INT64_MAX, int32_t, uint16_t, uint32_t, uint64_t, uint8_t, uintptr_t
from libc.string cimport memcpy, memset

from minitorch_bn.kernels.elementwise cimport copy as kernel_copy
from minitorch_bn.kernels.elementwise cimport operand
from minitorch_bn.kernels.elementwise cimport run as kernel_run
from minitorch_bn.kernels.elementwise cimport run_flat as kernel_flat
from minitorch_bn.kernels.runtime cimport (ITEMSIZE, MTB_NDTYPES, K, MTB_b8, MTB_bf16, MTB_f16, MTB_f32, MTB_f64,
                                           MTB_i16, MTB_i32, MTB_i64, MTB_i8, MTB_u8, ceil_div, give, i64, mtb_loop,
                                           mtb_number_loop, run_tasks, take, turn_phase)

include "core/dtypes.pxi"        # dtype, device, Size, memory_format; promotion
include "core/arguments.pxi"     # dims, shapes, integers: from what the user wrote to C values, or PyTorch's error
include "core/storage.pxi"       # Storage; making tensors
include "core/deferred.pxi"      # results that wait for the operation that reads them
include "core/gathered.pxi"      # statistics that come with a result
include "core/tracing.pxi"       # what a profiler sees
include "core/tensor.pxi"        # the Tensor class: attributes and operators
include "core/attributes.pxi"    # those that a user sets on a tensor
include "core/graph.pxi"         # Node: recording
include "core/packing.pxi"       # what a graph saves, in the form that hooks give it
include "core/elementwise.pxi"   # ops of the table: promotion, broadcasting, the loop, recording
include "core/gradients.pxi"     # their one vjp; undoing broadcasts
include "core/copies.pxi"        # copies and casts
include "core/views.pxi"         # views of another shape: reshape, permute, expand
include "core/windows.pxi"       # views of a part: select, slice, diagonal, unfold, as_strided
include "core/inplace.pxi"       # in-place writes to tensors and views inside a graph
include "core/schedule.pxi"      # the order in which a graph runs backward
include "core/handover.pxi"      # nodes that leave their backward to the one before
include "core/engine.pxi"        # backward(), autograd.grad()
include "core/hooks.pxi"         # hooks, retained gradients, grad modes
include "core/creation.pxi"      # tensor(), zeros(), arange(), ...
include "core/indexing.pxi"      # x[...] and x[...] = v
include "core/interop.pxi"       # buffer protocol, NumPy, lists, pickle
include "core/dlpack.pxi"        # DLPack
include "core/subclasses.pxi"    # classes that a user derives from Tensor
include "core/methods.pxi"       # conversions and inquiries
