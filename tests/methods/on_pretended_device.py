"""Tests that `test_devices` runs in a process of its own: methods on a device that no machine has.

Its tensors are the CPU's, but it refuses what a GPU refuses, so a test sees a tensor left on the CPU, numpy asked of a tensor on the
device, or a generator of the wrong device. It computes what the CPU computes, so results are equal; it says nothing of speed, memory, or a
GPU's rounding. Made by torch's registration of devices in Python.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import TaskInfo
from benchbench.registry import create_method, get_method, methods
from benchbench.suites._pools import ImagePool, SinePool

NAME = "pretended"

# what a GPU takes tensors of the host for, too: copies, and indices
_COPIES = {"aten::_to_copy", "aten::copy_"}
_BY_INDEX = {"aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"}

NAMES = sorted(
    name
    for name, entry in methods().items()
    if entry.card.track == "fewshot" and entry.module.startswith("benchbench.methods.") and not entry.card.requirements
)
KINDS = [(name, kind) for name in NAMES for kind in get_method(name).card.tasks]
# the network of gradient methods pools images of three channels
KINDS.append(("maml", "photographs"))

# every call of torch takes five times as long through Python
FEW = {"precision": "float32", "meta_batch": 2, "n_steps": 2, "support_epochs": 2, "test_steps": 2, "train_steps": 2}
TASKS = {
    "classification": TaskInfo(name="c", kind="classification", n_way=3, k_shot=2, n_query=15, input_shape=(1, 16, 16)),
    "photographs": TaskInfo(name="p", kind="classification", n_way=3, k_shot=2, n_query=15, input_shape=(3, 16, 16)),
    "regression": TaskInfo(name="r", kind="regression", n_way=1, k_shot=5, n_query=4, input_shape=(1,), n_outputs=1),
}


class _Module(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend(NAME, backend_module=_Module())


class OnDevice(Tensor):
    """A tensor that says it lies on the device; `held` is where its values are."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made: OnDevice = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(NAME, 0),
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} of a tensor on the device, outside of `with PretendedDevice()`")


class PretendedDevice(TorchDispatchMode):
    """Within it `device="pretended"` works: `with PretendedDevice(): torch.ones(3, device="pretended")`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [t for t in tensors if isinstance(t, OnDevice)]
        if there and name not in _COPIES:
            self._check(func, name, args, [t for t in tensors if not isinstance(t, OnDevice)])
        is_there = bool(there)
        if kwargs.get("device") is not None:
            is_there = torch.device(kwargs["device"]).type == NAME
            kwargs["device"] = torch.device("cpu")
        generator = kwargs.get("generator")
        if is_there and generator is not None:
            raise RuntimeError(f"{func}: expected a generator of the device, got one of {generator.device}")
        compute = _ONLY_ON_GPUS.get(name, func)
        found = compute(*tree_map_only(OnDevice, _held, args), **tree_map_only(OnDevice, _held, kwargs))
        written = _written(func, args, kwargs)
        if written is not None:
            return written
        return tree_map_only(Tensor, OnDevice, found) if is_there else found

    def _check(self, func: Any, name: str, args: Any, elsewhere: list[Tensor]) -> None:
        """Refuse tensors of the CPU beside those of the device; a single number may be, and indices of the device's values."""
        if name in _BY_INDEX and isinstance(args[0], OnDevice):
            elsewhere = [t for t in elsewhere if t.dtype not in (torch.int64, torch.bool)]
        found = [tuple(t.shape) for t in elsewhere if t.dim()]
        if found:
            raise RuntimeError(f"{func}: expected all tensors on one device, got some of shapes {found} on the CPU")


def _lstm_cell(from_x: Tensor, from_h: Tensor, c: Tensor, *biases: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return h, c and the activated gates."""
    i, f, g, o = (from_x + from_h + sum(biases)).chunk(4, 1)
    gates = torch.cat([i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()], 1)
    i, f, g, o = gates.chunk(4, 1)
    new = f * c + i * g
    return o * new.tanh(), new, gates


def _lstm_cell_backward(
    grad_h: Tensor | None, grad_c: Tensor | None, c: Tensor, new: Tensor, gates: Tensor, has_bias: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the gradients of the gates before their activation, of c, and of a bias."""
    i, f, g, o = gates.chunk(4, 1)
    d_h = torch.zeros_like(c) if grad_h is None else grad_h
    d_new = d_h * o * (1 - new.tanh() ** 2) + (0 if grad_c is None else grad_c)
    parts = [d_new * g * i * (1 - i), d_new * c * f * (1 - f), d_new * i * (1 - g**2), d_h * new.tanh() * o * (1 - o)]
    d_gates = torch.cat(parts, 1)
    return d_gates, d_new * f, d_gates.sum(0) if has_bias else None


# what torch calls instead of smaller steps where the device is not the CPU, and has no CPU code for
_ONLY_ON_GPUS = {
    "aten::_thnn_fused_lstm_cell": _lstm_cell,
    "aten::_thnn_fused_lstm_cell_backward_impl": _lstm_cell_backward,
}


def _held(tensor: OnDevice) -> Tensor:
    return tensor.held


def _written(func: Any, args: Any, kwargs: Any) -> Any:
    """Return the argument that a call in place, or with `out`, gives back; None if it gives back something new."""
    returned = func._schema.returns
    if not returned or returned[0].alias_info is None or not returned[0].alias_info.is_write:
        return None
    given = [
        args[i] if i < len(args) else kwargs[argument.name]
        for i, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return given[0] if len(returned) == 1 else tuple(given)


def _predictions(name: str, source: Any, task: TaskInfo, context: Context) -> list[Any]:
    """Return what is predicted after an iteration of training, and by another adapter that takes the training over."""
    params = {key: value for key, value in FEW.items() if key in vars(create_method(name, {}))}
    rng = np.random.default_rng(5)
    batch = source.sample(rng, n_way=task.n_way, k_shot=task.k_shot, n_query_per_class=2, n_tasks=2)
    found = []
    with PretendedDevice() if context.device == NAME else contextlib.nullcontext():
        adapter = create_method(name, params)
        adapter.setup(task, context)
        adapter.meta_fit(source, validation=source, budget=Budget(preset="quick", iterations=1), context=context)
        found.append(adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x))
        if get_method(name).card.iterations["paper"] and adapter.training_key(task) is not None:
            other = create_method(name, params)
            other.setup(task, context)
            other.load_state(adapter.state())
            found.append(other.predict_episodes(batch.support_x, batch.support_y, batch.query_x))
    return found


def test_what_a_gpu_refuses_is_refused() -> None:
    with PretendedDevice():
        x = torch.arange(6.0, device=NAME).reshape(2, 3)
        with pytest.raises(RuntimeError, match=r"one device.*\(3,\)"):
            x @ torch.ones(3)
        with pytest.raises(RuntimeError, match="generator of the device"):
            torch.rand(3, device=NAME, generator=torch.Generator())
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()
        assert x.device.type == (x * torch.tensor(2.0)).device.type == x[torch.tensor([0])].device.type == NAME
        np.testing.assert_array_equal(x.cpu().numpy(), [[0, 1, 2], [3, 4, 5]])


def test_gradients_and_steps_are_those_of_the_cpu() -> None:
    def after_a_step(device: str) -> list[Any]:
        torch.manual_seed(0)
        cell = torch.nn.LSTMCell(3, 2).to(device)
        optimiser = torch.optim.Adam(cell.parameters())
        h, c = cell(torch.ones(4, 3, device=device), cell(torch.rand(4, 3).to(device)))
        (h.square().sum() + c.sum()).backward()
        optimiser.step()
        return [p.detach().cpu().numpy() for p in cell.parameters()]

    with PretendedDevice():
        there, here = after_a_step(NAME), after_a_step("cpu")
    for ours, theirs in zip(there, here, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_method_keeps_to_its_device(name: str, kind: str, blobs: Any, make_context: Any) -> None:
    noise = np.random.default_rng(1).integers(0, 56, (blobs.n_classes, 30, 16, 16))
    # the device holds the images of such a pool itself
    images = (blobs.patterns * 200 + noise).astype(np.uint8)
    if kind == "photographs":
        images = np.stack([images, 255 - images, images // 2], -1)
    source = SinePool() if kind == "regression" else ImagePool(images, rotates=True)
    on_cpu, there = (_predictions(name, source, TASKS[kind], make_context(device=device)) for device in ("cpu", NAME))
    for ours, theirs in zip(there, on_cpu, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
