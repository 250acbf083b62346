"""Length and size of measurements: environment variables with the prefix `BENCH_`."""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Options(BaseSettings):
    """For instance `BENCH_ROUNDS=1 BENCH_SECONDS=1 make bench` for a first look."""

    model_config = SettingsConfigDict(env_prefix="BENCH_", frozen=True)

    rounds: int = Field(5, ge=1, description="number of measurements of each side of a comparison")
    seconds: float = Field(3.0, gt=0, description="seconds of each measurement")
    tail_seconds: float = Field(60.0, gt=0, description="seconds for which the tail of the latency is measured")
    sessions: int = Field(1_000_000, ge=1000, description="number of live sessions in the filled store")
    texts: int = Field(2048, ge=64, description="number of texts in one pass of the engine")
    store: str = Field("", description="URL of the session store; if empty, LMDB in a temporary directory")


def read_options() -> Options:
    """Read the options from the environment.

    Raises:
        SystemExit: One of them is not valid. The message names it.
    """
    try:
        return Options()
    except ValidationError as error:
        wrong = (f"BENCH_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
        raise SystemExit("error: " + "; ".join(wrong)) from None
