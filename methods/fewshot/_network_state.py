"""State of the methods whose learnt values are all in one torch module. Importing this is light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

__all__ = ["NetworkState"]


class NetworkState:
    """What was learnt is the `state_dict` of `_network`.

    It must come before `FewShotAdapter` among the bases.
    """

    _network: nn.Module

    def state(self) -> dict[str, NDArray[Any]]:
        return {name: value.cpu().numpy().copy() for name, value in self._network.state_dict().items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        import torch

        self._network.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})
