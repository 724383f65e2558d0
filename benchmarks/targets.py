"""Which figures are promised, and does this run keep them?"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from benchmarks.rounds import markdown_table

__all__ = ["Target", "target_table"]


class Target(NamedTuple):
    """A ratio that was measured and the bound that it must keep."""

    name: str
    measured: float
    bound: float
    side: Literal["at most", "at least"] = "at most"

    @property
    def is_met(self) -> bool:
        """Whether the bound is kept."""
        return self.measured <= self.bound if self.side == "at most" else self.measured >= self.bound


def target_table(targets: Sequence[Target]) -> str:
    """Return the table of *targets* with their verdicts."""
    return markdown_table(
        ["ratio", "measured", "promised", "kept"],
        [
            [item.name, f"{item.measured:.3f}", f"{item.side} {item.bound:.3g}", "yes" if item.is_met else "**no**"]
            for item in targets
        ],
    )
