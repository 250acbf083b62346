"""Load that checks its answers: `locust -f loadtest/locustfile.py --host http://127.0.0.1:3000`.

Locust's own table counts failures by kind. The exit code is 1 if there was a failure or no request at all. To run only
some kinds of users, name their classes after the options. Users whose models the service lacks are left out, as are
those that cannot check the models it serves. `--api-key` is for a service that has keys. docs/load.md tells the rest.
"""

from locust import events

from loadtest.api_key import add_api_key_option, check_api_key
from loadtest.pace import add_pace_options
from loadtest.run import check_host, fail_without_requests, normalise_host, report_before_sessions_end
from loadtest.seed import add_seed_option
from loadtest.served import choose_models, leave_out_users
from loadtest.users.batch import BatchUser
from loadtest.users.caption import CaptionUser
from loadtest.users.device import DeviceUser
from loadtest.users.forecast import ForecastUser
from loadtest.users.generation import GenerationUser
from loadtest.users.invalid_request import InvalidRequestUser
from loadtest.users.music import MusicUser
from loadtest.users.sentiment import SentimentUser
from loadtest.users.session import close_sessions
from loadtest.users.stream import StreamUser
from loadtest.users.streaming_readings import StreamingReadingsUser
from loadtest.users.streaming_review import StreamingReviewUser
from loadtest.users.streaming_tags import StreamingTagsUser
from loadtest.users.streaming_text import StreamingTextUser
from loadtest.users.tagging import TaggingUser
from loadtest.users.translation import TranslationUser

__all__ = [
    "BatchUser",
    "CaptionUser",
    "DeviceUser",
    "ForecastUser",
    "GenerationUser",
    "InvalidRequestUser",
    "MusicUser",
    "SentimentUser",
    "StreamUser",
    "StreamingReadingsUser",
    "StreamingReviewUser",
    "StreamingTagsUser",
    "StreamingTextUser",
    "TaggingUser",
    "TranslationUser",
]

events.init_command_line_parser.add_listener(add_seed_option)  # type: ignore[no-untyped-call]  # locust's own
events.init_command_line_parser.add_listener(add_api_key_option)  # type: ignore[no-untyped-call]
events.init_command_line_parser.add_listener(add_pace_options)  # type: ignore[no-untyped-call]
events.init.add_listener(check_host)  # type: ignore[no-untyped-call]
events.init.add_listener(check_api_key)  # type: ignore[no-untyped-call]
events.init.add_listener(leave_out_users)  # type: ignore[no-untyped-call]
events.test_start.add_listener(normalise_host)  # type: ignore[no-untyped-call]
events.test_start.add_listener(choose_models)  # type: ignore[no-untyped-call]
events.test_stopping.add_listener(report_before_sessions_end)  # type: ignore[no-untyped-call]
events.test_stop.add_listener(close_sessions)  # type: ignore[no-untyped-call]
events.quitting.add_listener(fail_without_requests)  # type: ignore[no-untyped-call]
