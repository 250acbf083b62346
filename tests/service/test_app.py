"""The wiring of the BentoML service, in processes of their own: BentoML reads the forms' schemas as it is imported."""

import subprocess
import sys

from service.api.openapi import openapi_document
from service.api.question_routes import QuestionRoutes
from service.concurrency.open_answers import OpenAnswers
from service.metrics import Metrics
from service.questions import Questions
from service.steps.answer_room import AnswerRoom

ROUTES = "import service.app; print(*(api.route for api in service.app.RNNService.apis.values()))"
RATE = """
from dataclasses import replace
from service.api import application, endpoints
application.ENDPOINTS = (*endpoints.ENDPOINTS, replace(endpoints.TAG, path="/rate"))
import service.app
service.app._service.inner.before_workers()
"""
PATHS = "import service.app; print(*service.app._service.openapi_spec.asdict()['paths'])"


def printed(code: str) -> set[str]:
    """The words that a program prints."""
    return set(subprocess.check_output([sys.executable, "-c", code], timeout=60, text=True).split())  # noqa: S603


def test_bentomls_port_takes_the_questions_that_the_second_port_takes() -> None:
    questions = Questions({}, Metrics(), OpenAnswers(1.0), AnswerRoom(2**20, 1.0, lambda: 1))
    assert printed(ROUTES) == {question.path for question in QuestionRoutes(questions, 1024).handlers()}


def test_all_that_bentoml_serves_is_in_the_document() -> None:
    assert printed(PATHS) <= set(openapi_document(needs_key=False)["paths"])


def test_the_service_does_not_start_with_a_question_that_bentomls_port_would_not_know() -> None:
    done = subprocess.run([sys.executable, "-c", RATE], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "unrolled: declared in service/api/endpoints.py, but without a @bentoml.api in service/app.py: POST /rate"
    )
