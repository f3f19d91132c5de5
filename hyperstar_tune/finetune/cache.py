"""A cache that the configurations of one task share in a process: decoded pixels, frozen features, networks."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor, nn

__all__ = ["TensorCache", "process_cache"]


class TensorCache:
    """Keeps what was used last, up to a number of bytes; a single entry above it is handed out but not kept."""

    def __init__(self, limit_bytes: int = 1 << 30) -> None:
        self.limit_bytes = limit_bytes
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The entry of ``key``, computed at the first request."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key][0]
        value = compute()
        size = _n_bytes(value)
        if size <= self.limit_bytes:
            self._entries[key] = (value, size)
            while self.n_bytes > self.limit_bytes:
                self._entries.popitem(last=False)
        return value

    @property
    def n_bytes(self) -> int:
        """Bytes held."""
        return sum(size for _, size in self._entries.values())


def _n_bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, nn.Module):
        return sum(t.nbytes for t in value.state_dict().values())
    if isinstance(value, list | tuple):
        return sum(_n_bytes(v) for v in value)
    return 0


process_cache = TensorCache()
