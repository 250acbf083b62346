"""The GPU, or why there is none; and the shipped bundles on it and on the CPU."""

import pytest

from service.bundle.manifest import Bundle, read_bundle
from service.device.device import Device, batch_sizes, cuda
from service.device.runtime import DeviceRuntime
from service.engine.runtime import ProviderMissing, Runtime
from tests.paths import MODELS

CACHE_BYTES = 2**24
NAMES = sorted(path.parent.name for path in MODELS.glob("*/manifest.json"))


@pytest.fixture(scope="session")
def device() -> Device:
    """The GPU."""
    try:
        found = cuda()
        DeviceRuntime(read_bundle(MODELS / NAMES[0]), found, (4,), cache_bytes=0)
    except ProviderMissing as error:
        pytest.skip(f"no GPU: {error}")
    return found


@pytest.fixture(scope="module", params=NAMES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Each shipped bundle."""
    return read_bundle(MODELS / request.param)


@pytest.fixture(scope="module")
def runtime(bundle: Bundle, device: Device) -> DeviceRuntime:
    """The bundle on the GPU, for batches of 256 and less."""
    opened = DeviceRuntime(bundle, device, batch_sizes(256), CACHE_BYTES)
    opened.warm_up()
    return opened


@pytest.fixture(scope="module")
def host(bundle: Bundle) -> Runtime:
    """The bundle on the CPU."""
    return Runtime(bundle)
