"""`python -m bench [NAMES]`: measure, and print every figure with its limit.

A missed limit is shown and does not change the exit status, which is 1 only if a measurement failed.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from bench.command import run_command
from bench.figure import Figure, Unavailable
from bench.options import Options, read_options
from bench.report import machine, table

# Each is a module of this package with a function `measure`.
BENCHES = (
    "rungs",
    "steps",
    "websocket",
    "http",
    "latency",
    "tail",
    "generation",
    "texts",
    "translation",
    "int8",
    "store",
    "servers",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status."""
    parser = _parser()
    names = parser.parse_args(arguments).names or list(BENCHES)
    if unknown := sorted(set(names) - set(BENCHES)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(BENCHES)}")
    options = read_options()
    return run_command(lambda: _run(names, options))


def _run(names: Sequence[str], options: Options) -> int:
    print(machine())
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            own = _measure(name)(options)
        except Unavailable as error:
            print(f"\n{name}: not measured: {error}")
        except Exception as error:  # one failure must not lose the other measurements' figures
            failed[name] = f"{type(error).__name__}: {error}"
            print(f"\n{name}: failed: {failed[name]}", file=sys.stderr)
        else:
            print(f"\n{table(own)}", flush=True)
            figures += own
    _summarise(names, figures, failed)
    return 1 if failed else 0


def _summarise(names: Sequence[str], figures: Sequence[Figure], failed: dict[str, str]) -> None:
    if len(names) > 1 and figures:
        print(f"\n{machine()}\n{table(figures)}")
    short = [figure for figure in figures if not figure.is_kept]
    with_limit = sum(figure.has_limit for figure in figures)
    print(f"\n{with_limit - len(short)} of {with_limit} limits kept{''.join(f'; {name} failed' for name in failed)}")


def _measure(name: str) -> Callable[[Options], list[Figure]]:
    measure: Callable[[Options], list[Figure]] = importlib.import_module(f"bench.{name}").measure
    return measure


def _parser() -> argparse.ArgumentParser:
    described = "; ".join(
        f"BENCH_{name.upper()}: {field.description} ({field.default!r})" for name, field in Options.model_fields.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog=f"Environment variables, with their defaults: {described}"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"benchmarks to run, of {', '.join(BENCHES)}; default: all"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
