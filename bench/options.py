"""Length and size of measurements: environment variables with the prefix `BENCH_`."""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Options(BaseSettings):
    """For instance `BENCH_ROUNDS=1 BENCH_SECONDS=1 make bench` for a first look."""

    model_config = SettingsConfigDict(env_prefix="BENCH_", frozen=True)

    rounds: int = Field(5, ge=1, description="How often each side of a comparison is measured")
    seconds: float = Field(3.0, gt=0, description="How long each time")
    tail_seconds: float = Field(60.0, gt=0, description="How long the tail of the latency is watched")
    sessions: int = Field(1_000_000, ge=1000, description="Live sessions in the filled store")
    texts: int = Field(2048, ge=64, description="Texts in a pass of the engine")
    store: str = Field("", description="URL of the session store; LMDB in a temporary folder where empty")


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
