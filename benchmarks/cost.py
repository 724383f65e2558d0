"""What does one good request cost over the bare application, beside the peers?"""

from collections.abc import Iterable
from contextlib import ExitStack

from benchmarks.rounds import markdown_table
from benchmarks.targets import Target
from benchmarks.worker import Worker

__all__ = ["cost_table", "measure", "targets"]

_FAMILIES = {
    "asgi": ("asgi", "asgi_otel_api", "asgi_otel_sdk"),
    "wsgi": ("wsgi", "wsgi_otel_api", "wsgi_otel_sdk"),
    "flask": ("flask", "flask_otel_sdk"),
}
_OTEL = {"asgi": "opentelemetry-asgi, SDK", "wsgi": "opentelemetry-wsgi, SDK", "flask": "opentelemetry-flask, SDK"}


def measure(family: str, *, rounds: int, calls: int) -> dict[str, float]:
    """Return the nanoseconds per request that each of *family* adds to the bare application of its own process."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(group)) for group in _FAMILIES[family]]
        best = [worker.round(calls) for worker in workers]
        for _ in range(rounds):
            for lowest, worker in zip(best, workers, strict=True):
                for name, nanoseconds in worker.round(calls).items():
                    lowest[name] = min(lowest[name], nanoseconds)
    return {name: total - lowest["bare"] for lowest in best for name, total in lowest.items() if name != "bare"}


def cost_table(costs: dict[str, float], yardsticks: Iterable[str]) -> str:
    """Return the table of *costs* as multiples of each of *yardsticks*, dearest last."""
    units = [name for name in yardsticks if name in costs]
    rows = [
        [name, *(f"{cost / costs[unit]:.2f} ×" for unit in units), f"{cost / 1000:.2f}"]
        for name, cost in sorted(costs.items(), key=lambda item: item[1])
    ]
    return markdown_table(["over the bare application", *(f"of {unit}" for unit in units), "µs, this run"], rows)


def targets(costs: dict[str, dict[str, float]]) -> list[Target]:
    """Return what issue 2 promises about the cost of a good request."""
    asgi, wsgi = costs["asgi"], costs["wsgi"]
    return [
        Target("ASGI request / asgi-correlation-id", asgi["tracegate"] / asgi["asgi-correlation-id"], 0.7),
        Target("ASGI request / OpenTelemetry with SDK", asgi["tracegate"] / asgi[_OTEL["asgi"]], 1 / 25),
        Target("WSGI request / OpenTelemetry with SDK", wsgi["tracegate"] / wsgi[_OTEL["wsgi"]], 1 / 25),
    ]
