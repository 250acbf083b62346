"""What the service lets Prometheus scrape, and what an expression asks for of it."""

import re

from service.metrics import Metrics

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def scraped_families() -> dict[str, set[str]]:
    """The names that each metric is scraped under, by its own."""
    families = Metrics().registry.collect()
    return {family.name: {family.name + suffix for suffix in SUFFIXES[family.type]} for family in families}


def scraped_names() -> set[str]:
    """The names of all that is scraped."""
    return set().union(*scraped_families().values())


def metrics_of(expression: str) -> set[str]:
    """The metrics of the service that an expression names."""
    return set(re.findall(r"(?<![\w:])rnn_\w+", expression))
