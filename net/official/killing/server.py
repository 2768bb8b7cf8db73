"""The server under test: start, kill without warning, start again on the same directory."""

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time

START_SECONDS_MAX = 120


class ServerFailed(Exception):
    """The server did not start, with the end of its log."""


def free_port():
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Runs `command`, in which {dir} and {port} are replaced.

    Without {port} the server chooses: the last number in its first line of standard output is then
    the port.
    """

    def __init__(self, command, directory, log_path):
        self.command = command
        self.directory = directory
        self.log_path = log_path
        self.fixed_port = "{port}" in command
        self.port = free_port() if self.fixed_port else None
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def spawn(self):
        """Starts the process and does not wait for it to listen."""
        words = shlex.split(self.command.format(dir=self.directory, port=self.port))
        with open(self.log_path, "ab") as log:
            # A session of its own, so that a kill reaches what a wrapper has started too. Standard
            # input stays open: some servers end with it.
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=log if self.fixed_port else subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def start(self):
        """Starts the process and waits until it listens."""
        self.spawn()
        if not self.fixed_port:
            self.port = self._read_port()
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            if self.process.poll() is not None:
                raise ServerFailed(f"exit code {self.process.returncode}\n{self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ServerFailed(f"does not listen: {error}\n{self.log_tail()}") from error
                time.sleep(0.01)

    def _read_port(self):
        line = self.process.stdout.readline().decode(errors="replace")
        # A host may stand before the port: the last number of the line is meant.
        numbers = re.findall(r"\d+", line)
        if not numbers:
            raise ServerFailed(f"no port in the first line {line!r}\n{self.log_tail()}")
        threading.Thread(target=self._drain, args=(self.process.stdout,), daemon=True).start()
        return int(numbers[-1])

    def _drain(self, stdout):
        with open(self.log_path, "ab") as log:
            for line in stdout:
                log.write(line)

    def kill(self):
        """SIGKILL, and waits until the process is gone."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()
        self.process = None

    def died(self):
        """True if the process ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def log_tail(self):
        """The last lines of the log."""
        with open(self.log_path, "rb") as log:
            return b"\n".join(log.read()[-4000:].splitlines()[-20:]).decode(errors="replace")
