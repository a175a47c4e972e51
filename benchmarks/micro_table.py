"""What the parts of a request take alone, as a table."""

import json
from pathlib import Path

from . import micro
from .amounts import figures
from .markup import escaped, paragraphs, table
from .reading import NotResults

# What pyperf writes down of where it ran, and what the other tables call that.
_WHERE = {
    "cpu_model_name": "processor",
    "platform": "platform",
    "python_version": "python",
    "perf_version": "pyperf",
}


def text(path: Path) -> str:
    """Empty without the file. Raises NotResults."""
    if not path.exists():
        return ""
    try:
        lines = [
            (name, figures(median * 1e6), figures(deviation * 1e6))
            for name, (median, deviation) in micro.figures(path).items()
        ]
        metadata = json.loads(path.read_text("utf-8")).get("metadata", {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotResults(f"{path} holds no results of pyperf: {error!r}") from error
    where = [f"{name}: {metadata[key]}" for key, name in _WHERE.items() if key in metadata]
    return paragraphs(
        f".. rst-class:: figures\n\n{table(('part', 'µs', 'standard deviation'), lines)}",
        f"{escaped('; '.join([*where, 'every value']))}: ``benchmarks/results/{path.name}``.",
    )
