"""A GPU for machines that have none: it computes on the CPU and records what crosses over to it.

Its tensors say that they are on ``cuda:0`` and hold real values, so that whole searches run on it
(PyTorch's fake tensors have no values, and its CPU builds cannot differentiate on CUDA). What a GPU
refuses is refused: operations on tensors of both, and generators of the CPU. Operations of a
backward pass come by here as well, since every one of them is dispatched on these tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from unittest import mock

import torch
import torch.optim.optimizer as optimizers
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils
from torch.utils._pytree import tree_leaves, tree_map

Kind = Literal["read", "blocking copy", "copy"]
aten = torch.ops.aten
GPU = torch.device("cuda:0")
HOST = torch.device("cpu")


class Crossing(NamedTuple):
    """Something that passed between host and GPU.

    A read makes the host wait for all that the GPU still has to do. So does a blocking copy to
    the GPU; a copy from page-locked memory does not. Bytes are told of copies alone.
    """

    kind: Kind
    operation: str
    place: str
    n_bytes: int


@dataclass
class Record:
    """What has crossed so far."""

    crossings: list[Crossing] = field(default_factory=list)

    def add(self, kind: Kind, operation: str, n_bytes: int = 0) -> None:
        self.crossings.append(Crossing(kind, operation, _place(), n_bytes))

    def of(self, kind: Kind) -> list[Crossing]:
        return [crossing for crossing in self.crossings if crossing.kind == kind]


_record = Record()


def _place() -> str:
    """Name the innermost function of ours that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("proxysample"):
            return f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"


class GPUTensor(Tensor):
    """A tensor that says it is on the GPU; `held` has its values, on the CPU."""

    held: Tensor
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> GPUTensor:
        # To the C++ side it is on the CPU: a CPU build differentiates nowhere else. In inference
        # mode it would refuse views of what was made outside of it, which GPUs do not.
        with torch.inference_mode(False):
            tensor = Tensor._make_wrapper_subclass(
                cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype
            )
        tensor.held = held
        return tensor

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        _check_and_record(operation, args, kwargs)
        values = tree_leaves((args, kwargs))
        owners = {id(value.held): value for value in values if isinstance(value, GPUTensor)}
        args, kwargs = tree_map(_held, (args, kwargs))
        # What is changed in place stays the tensor that it was.
        return tree_map(
            lambda value: owners[id(value)] if id(value) in owners else _on_gpu(value),
            operation(*args, **kwargs),
        )


def _held(value: Any) -> Any:
    return value.held if isinstance(value, GPUTensor) else value


def _on_gpu(value: Any) -> Any:
    return GPUTensor(value) if isinstance(value, Tensor) else value


def _on_host(value: Any) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, GPUTensor)


def _check_and_record(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    values = tree_leaves((args, kwargs))
    if any(isinstance(value, torch.Generator) for value in values):
        raise RuntimeError(f"{operation}: the generator is on the CPU, the tensor on the GPU")
    if operation in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default):
        _record_indexing(operation, [index for index in args[1] if index is not None])
    elif operation is aten.copy_.default and any(map(_on_host, args)):
        if _on_host(args[1]):
            _record.add("blocking copy", str(operation), args[1].nbytes)
        else:
            _record.add("read", str(operation))
    elif any(_on_host(value) and value.ndim for value in values):
        raise RuntimeError(f"{operation}: tensors on the GPU and on the CPU")
    elif {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(operation.tags):
        _record.add("read", str(operation))


def _record_indexing(operation: Any, indices: list[Tensor]) -> None:
    on_host = [index for index in indices if _on_host(index) and index.ndim]
    if on_host:
        _record.add("blocking copy", str(operation), sum(index.nbytes for index in on_host))
    if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
        _record.add("read", str(operation))


def _move(tensor: Tensor, device: torch.device, *, non_blocking: bool = False) -> Tensor:
    if tensor.device.type == device.type:
        return tensor
    if tensor.requires_grad and torch.is_grad_enabled():
        raise NotImplementedError("no gradient passes between host and simulated GPU")
    if device.type == "cpu":
        _record.add("read", "copy")
        return _held(tensor.detach()).clone()
    locked = getattr(tensor, "is_page_locked", False)
    _record.add("copy" if locked and non_blocking else "blocking copy", "copy", tensor.nbytes)
    return GPUTensor(tensor.detach().clone())


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if args and isinstance(args[0], Tensor):
        return _to(tensor, args[0].device, args[0].dtype, *args[1:], **kwargs)
    kwargs.pop("copy", None)
    device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    if device is not None:
        tensor = _move(tensor, device, non_blocking=non_blocking)
    layout = {} if memory_format is None else {"memory_format": memory_format}
    return tensor if dtype is None else tensor.to(dtype, **layout)


def _pin_memory(tensor: Tensor) -> Tensor:
    if not _on_host(tensor):
        raise RuntimeError("only tensors of the CPU can be pinned")
    locked = tensor.clone()
    locked.is_page_locked = True
    return locked


def _tolist(tensor: Tensor) -> Any:
    if isinstance(tensor, GPUTensor):
        _record.add("read", "tolist")
    return _held(tensor).tolist()


def _numpy(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    if isinstance(tensor, GPUTensor):
        raise TypeError("a CUDA tensor cannot become NumPy's; call .cpu() before")
    return tensor.numpy(*args, **kwargs)


# These look at the device on the C++ side.
_REPLACED: dict[Any, Callable[..., Any]] = {
    Tensor.cpu: lambda tensor: _move(tensor, HOST),
    Tensor.to: _to,
    Tensor.pin_memory: _pin_memory,
    Tensor.tolist: _tolist,
    Tensor.numpy: _numpy,
    # On a CPU it reads the smallest and the largest index, on CUDA it does not.
    torch.nn.functional.one_hot: lambda tensor, n: (
        _on_gpu(torch.nn.functional.one_hot(_held(tensor), n))
        if isinstance(tensor, GPUTensor)
        else torch.nn.functional.one_hot(tensor, n)
    ),
}


class _Calls(TorchFunctionMode):
    """Carries out the calls that create tensors on the GPU, or move them there and back."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function in _REPLACED:
            return _REPLACED[function](*args, **kwargs)
        device = kwargs.get("device")
        if device is None or torch.device(device).type != "cuda":
            return function(*args, **kwargs)
        del kwargs["device"]
        if kwargs.get("generator") is not None:
            raise RuntimeError(f"{function}: the generator is on the CPU, the tensor on the GPU")
        created = function(*args, **kwargs)
        if function in (torch.tensor, torch.as_tensor):
            return _move(created, GPU)
        return created if isinstance(created, GPUTensor) else GPUTensor(created)


_group_by_device = torch._C._group_tensors_by_device_and_dtype


def _group_by_told_device(tensors: Any, with_indices: bool = False) -> Any:
    return {
        (GPU if isinstance(group[0][0][0], GPUTensor) else device, dtype): group
        for (device, dtype), group in _group_by_device(tensors, with_indices).items()
    }


@contextmanager
def simulated_gpu(free_memory: int = 1 << 33) -> Iterator[Record]:
    """Offer the device ``cuda:0``, and record what crosses over to it.

    So much of its memory, in bytes, is said to be free; what takes more is not refused.
    """
    global _record
    _record = Record()
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with ExitStack() as stack:
            # Optimisers and gradient clipping then take the kernels that they take on CUDA.
            for module in (optimizers, _foreach_utils):
                known = [*module._foreach_supported_types, GPUTensor]
                stack.enter_context(mock.patch.object(module, "_foreach_supported_types", known))
            grouping = "_group_tensors_by_device_and_dtype"
            stack.enter_context(mock.patch.object(torch._C, grouping, _group_by_told_device))
            memory = (free_memory, free_memory)
            stack.enter_context(mock.patch.object(torch.cuda, "mem_get_info", return_value=memory))
            stack.enter_context(_Calls())
            yield _record
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
