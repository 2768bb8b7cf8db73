"""Options and guards that every Python suite shares."""

import os
import signal

import pytest

TEST_SECONDS_MAX = 60


def pytest_addoption(parser):
    parser.addoption(
        "--address",
        default=os.environ.get("OFFICIAL_ADDRESS", "127.0.0.1:3000"),
        help="address of the server under test, HOST:PORT",
    )


@pytest.fixture(scope="session")
def address(request):
    """HOST:PORT of the server under test."""
    return request.config.getoption("--address")


@pytest.fixture(autouse=True)
def deadline():
    """Ends the whole run when a test hangs.

    The official clients retry for ever and cannot be cancelled, so a server that stopped answering
    would otherwise hold the run until somebody looks.
    """

    def on_alarm(_signal, _frame):
        pytest.exit(f"no answer from the server for {TEST_SECONDS_MAX} s", returncode=3)

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(TEST_SECONDS_MAX)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
