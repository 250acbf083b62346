"""Plans the stages of a finished bundle from its manifest, so that its graphs can be run and proved without a model."""

from typing import NoReturn

from export.recipes.registry import recipe
from export.stages import StagePlan
from service.bundle.manifest import Bundle
from service.bundle.stage import Stage


def plans(bundle: Bundle) -> tuple[StagePlan, ...]:
    """Return the plans of all stages. Their `build` raises NotImplementedError, since a bundle has no torch model."""
    return tuple(_plan(bundle, stage) for stage in bundle.manifest.stages)


def _plan(bundle: Bundle, stage: Stage) -> StagePlan:
    return StagePlan(
        name=stage.name,
        sizes=tuple(sorted(stage.rungs)),
        inputs=stage.inputs,
        outputs=stage.outputs,
        reads=stage.reads,
        writes=stage.writes,
        build=_cannot_build,
        draw=recipe(bundle.manifest.task.kind).draw(bundle, stage),
        fit=stage.fit,
        direction=stage.direction,
    )


def _cannot_build(size: int) -> NoReturn:
    raise NotImplementedError(f"a bundle holds no model to build the rung {size} of")
