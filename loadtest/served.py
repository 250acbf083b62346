"""Which models the service under load serves, and so which users can ask it."""

import logging
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from locust.env import Environment

from loadtest.answers import Answer
from loadtest.api_key import authorization
from loadtest.question import WrongReply, read_form
from loadtest.run import exit_at_start
from loadtest.users.checked import CheckedUser

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10


class ServedModel(Answer):
    """A model. `kind` of its task says what it does."""

    name: str
    task: dict[str, Any]
    sessions: bool


class ModelList(Answer):
    """All served models."""

    models: list[ServedModel]


def leave_out_users(environment: Environment, **_: object) -> None:
    """Choose models as locust starts, and leave out the kinds of users that have none: locust starts others instead.

    Exits if the service accepts no request of this run.
    """
    if not choose_models(environment):
        fault = "this API key is not one of the service's" if authorization(environment) else "an API key is needed"
        exit_at_start(environment, f"{fault}: give one by --api-key or LOCUST_API_KEY")
    users = [each for each in environment.user_classes if not issubclass(each, CheckedUser) or each.has_model]
    if not users:
        exit_at_start(environment, "no user can ask any of the served models")
        return  # a worker, which its master ends
    environment.user_classes = users


def choose_models(environment: Environment, **_: object) -> bool:
    """Let each kind of user ask a served model of its task. Return False if the service refuses the run's API key.

    Also called at the start of each run, as the address may come from the web UI, or to a worker from its master. It is
    then too late to leave users out, so those without a model end at once.

    Without an address, or if its models cannot be listed, all users ask for the models that ship.
    """
    if not environment.host:
        return True
    request = Request(f"{environment.host.rstrip('/')}/models", headers=authorization(environment))  # noqa: S310  the user's
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
            served = read_form(ModelList, reply.read()).models
    except (OSError, HTTPException, ValueError, WrongReply) as error:
        logger.warning("the service's models cannot be listed, so users ask for those that ship: %s", error)
        return not (isinstance(error, HTTPError) and error.code == HTTPStatus.UNAUTHORIZED)
    for user in environment.user_classes:
        if issubclass(user, CheckedUser):
            user.has_model = _can_ask(user, served)
    return True


def _can_ask(user: type[CheckedUser], served: list[ServedModel]) -> bool:
    """Set which model a kind of user asks. Return False if the service lacks one that it needs and can check.

    A user that names no model may be answered by any of its task, so it must be able to check all of them.
    """
    if missing := set(user.needs).difference(model.name for model in served):
        logger.warning("%s is left out: %s is not served", user.__name__, ", ".join(sorted(missing)))
        return False
    asked = [each for each in served if each.name in user.needs or each.task.get("kind") == user.kind]
    able = [each for each in asked if each.sessions or not user.has_sessions]
    if user.kind and not able:
        sessions = " with sessions" if user.has_sessions else ""
        logger.warning("%s is left out: no model for %s%s is served", user.__name__, user.kind, sessions)
        return False
    unsuited = [each.name for each in asked if not user.suits(each.task)]
    names = [each.name for each in able if each.name not in unsuited]
    if unsuited and not (user.model and names):
        logger.warning("%s is left out: it cannot check models of other data: %s", user.__name__, ", ".join(unsuited))
        return False
    if user.model and user.model not in names:
        user.model = names[0]
    horizons = [int(each.task.get("max_horizon", user.max_horizon)) for each in able]
    user.max_horizon = min(horizons, default=user.max_horizon)
    return True
