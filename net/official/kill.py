#!/usr/bin/env python3
"""Kills a server without warning while official clients load it, and checks what is left.

Each round: client processes send random batches; at a random moment the server gets SIGKILL; it is
started again on the same directory; then a fresh client checks that every acknowledged transfer is
there exactly as sent, that each unanswered request was executed whole or not at all, that the
balances are the sums of the transfers, and sends the unanswered requests again.

    kill.py --server-cmd "giro start --addresses=127.0.0.1:{port} {dir}" \\
            --format-cmd "giro format --cluster=0 --replica=0 --replica-count=1 {dir}" --rounds 20
"""

import argparse
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import run

CLIENT_RELEASE = run.CLIENTS[0][1]
CHECK_SECONDS_MAX = 180
READY_SECONDS_MAX = 30
SURVIVE_SECONDS_MAX = 90


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--server-cmd",
        required=True,
        help="starts the server; {dir} and {port} are replaced. Without {port} (--addresses=0) the "
        "port is read from its first line of output, and no client survives a kill",
    )
    parser.add_argument("--format-cmd", help="run once before the first start; {dir} is replaced")
    parser.add_argument("--check-cmd", help="run after each kill, must exit 0; {dir} is replaced")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="default: random, and printed")
    parser.add_argument("--clients", type=int, default=6, help="client processes")
    parser.add_argument(
        "--survivors",
        type=int,
        default=2,
        help="of the clients, how many live on after the kill: their open request must be answered "
        "after the restart as if nothing had happened",
    )
    parser.add_argument("--load-seconds", type=float, default=1.5, help="longest time to a kill")
    parser.add_argument("--dir", type=Path, help="default: a new one, removed after success")
    parser.add_argument("--cache", type=Path, default=run.CACHE)
    options = parser.parse_args()
    options.survivors = min(options.survivors, options.clients)
    return options


def enter_environment(cache):
    """Starts this program again with the interpreter that has the client library."""
    try:
        import tigerbeetle  # noqa: F401
    except ImportError:
        if os.environ.get("OFFICIAL_KILL"):
            raise
        try:
            interpreter = str(run.python_environment(cache.resolve(), CLIENT_RELEASE))
        except run.Unavailable as reason:
            sys.exit(f"kill.py: cannot install the client: {reason}")
        os.environ["OFFICIAL_KILL"] = "1"
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.execv(interpreter, [interpreter, *sys.argv])


class Harness:
    """The rounds, one after the other, on one directory."""

    def __init__(self, options, folder):
        from killing.check import Counts
        from killing.client import silence_client
        from killing.server import Server

        silence_client()
        self.options = options
        self.random = random.Random(options.seed)
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self.server = Server(options.server_cmd, self.data, folder / "server.log")
        self.survivors = options.survivors if self.server.fixed_port else 0
        self.counts = Counts()
        self.kills = 0
        self.clients = []
        self.finished = []

    def run(self):
        self.run_command(self.options.format_cmd)
        self.server.start()
        for number in range(self.options.rounds):
            self.run_round(number)
        with watchdog("the client of the last check"):
            client = self.client()
        with client:
            for number, finished in enumerate(self.finished):
                # A limit for each round: a long run has millions of transfers to look up.
                with watchdog(f"the last check, of round {number}"):
                    finished.check(client)
        self.server.kill()

    def run_round(self, number):
        from killing.check import Round, Violation

        accounts = self.load(number)
        clients = self.clients
        waited = self.wait_for_moment(clients)
        self.server_must_live()
        self.server.kill()
        self.kills += 1
        # Answers that the server had sent before it died still count.
        time.sleep(0.05)
        for client in clients[self.survivors :]:
            client.discard()
        self.run_command(self.options.check_cmd)
        self.maybe_kill_while_starting()
        self.server.start()
        for client in clients[: self.survivors]:
            if not client.finish(SURVIVE_SECONDS_MAX):
                raise Violation(f"{client.name} was not answered, or thrown out, after the restart")
        this = Round(clients, accounts)
        this.counts.survivors += self.survivors
        with watchdog(f"the check of round {number}"):
            with self.client() as client:
                this.check(client)
                if self.finished:
                    self.random.choice(self.finished).check(client)
        self.finished.append(this.summary())
        self.counts.add(this.counts)
        c = this.counts
        print(
            f"round {number}: killed after {waited:.3f} s; acknowledged {c.acked_batches} batches, "
            f"{c.acked_transfers} transfers; unanswered: {c.whole} whole, {c.absent} absent, "
            f"{c.unknown} unknown; {c.burned} burned ids",
            flush=True,
        )

    def load(self, number):
        """Opens the accounts of a round and starts its clients."""
        from killing import load

        seed, count = self.options.seed, self.options.clients
        with watchdog("opening accounts"), self.client() as client:
            ids, self.clients = load.start(client, self.server.address, seed, number, count)
        return ids

    def wait_for_moment(self, clients):
        """Waits for a random time; mostly under load, sometimes while clients register."""
        from killing.check import Violation

        if self.random.random() >= 0.15:
            for client in clients:
                if not client.is_ready.wait(READY_SECONDS_MAX):
                    raise Violation(f"{client.name} was not answered in {READY_SECONDS_MAX} s")
        seconds = self.random.uniform(0, self.options.load_seconds)
        time.sleep(seconds)
        return seconds

    def maybe_kill_while_starting(self):
        """A crash may come while the server recovers from the one before."""
        while self.random.random() < 0.2:
            self.server.spawn()
            time.sleep(self.random.uniform(0, 0.5))
            self.server_must_live()
            self.server.kill()
            self.kills += 1

    def stop(self):
        """Ends everything that was started."""
        self.server.kill()
        for client in self.clients:
            client.discard()

    def server_must_live(self):
        from killing.server import ServerFailed

        if self.server.died():
            code = self.server.process.returncode
            raise ServerFailed(f"ended by itself, exit code {code}\n{self.server.log_tail()}")

    def client(self):
        import tigerbeetle

        return tigerbeetle.ClientSync(cluster_id=0, replica_addresses=self.server.address)

    def run_command(self, command):
        if command is None:
            return
        from killing.check import Violation

        words = shlex.split(command.format(dir=self.data))
        result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if result.returncode != 0:
            output = (result.stdout + result.stderr)[-4000:]
            raise Violation(f"{command}: exit code {result.returncode}\n{output}")


class watchdog:
    """Ends the program when the server does not answer: the client itself would wait for ever."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.bark)
        signal.alarm(CHECK_SECONDS_MAX)

    def __exit__(self, *_error):
        signal.alarm(0)

    def bark(self, _signal, _frame):
        raise TimeoutError(f"no answer for {CHECK_SECONDS_MAX} s: {self.what}")


def main():
    options = parse_options()
    if options.seed is None:
        # Known before the program starts itself again, so that both print the same.
        options.seed = int(os.environ.setdefault("OFFICIAL_KILL_SEED", str(random.getrandbits(32))))
    enter_environment(options.cache)
    folder = options.dir or Path(tempfile.mkdtemp(prefix="official-kill-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"kill.py: client {CLIENT_RELEASE}, seed {options.seed}, in {folder}", flush=True)
    harness = Harness(options, folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    started = time.monotonic()
    try:
        harness.run()
    except BaseException as error:
        harness.stop()
        reason = str(error) or type(error).__name__
        print(f"kill.py: FAILED after {harness.kills} kills: {reason}")
        print(f"kill.py: seed {options.seed}; data and log are kept in {folder}", flush=True)
        # The checking client may still wait for the server; a normal exit would wait for it.
        os._exit(1)
    c = harness.counts
    print(
        f"kill.py: passed. {options.rounds} rounds, {harness.kills} kills, "
        f"{time.monotonic() - started:.0f} s; acknowledged {c.acked_batches} batches, "
        f"{c.acked_transfers} transfers, all there; unanswered batches: {c.whole} whole, "
        f"{c.absent} absent, {c.unknown} unknown, all resolved; {c.survivors} clients answered "
        f"across a restart; {c.burned} burned ids still burned"
    )
    if options.dir is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
