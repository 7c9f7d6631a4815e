"""An event loop whose clock a test puts forward: what is to happen in a minute happens at once, and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Shifted", "run_shifted"]


class Shifted(asyncio.SelectorEventLoop):
    """The loop.

    Attributes:
        ahead: Seconds that its clock is put forward.
    """

    ahead = 0.0

    def time(self) -> float:
        """Return what its clock says."""
        return super().time() + self.ahead


def run_shifted(main: Callable[[Shifted], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function in such a loop, which it is given."""
    with asyncio.Runner(debug=True, loop_factory=Shifted) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Shifted)
        runner.run(main(loop))
