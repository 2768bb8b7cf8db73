"""A client process that sends batches until it is killed, and tells its parent about each.

What it tells goes through a pipe before and after each request, so the parent knows what was
acknowledged although the process, and the client inside it, is thrown away.
"""

import logging
import multiprocessing
import threading
import time

import tigerbeetle as tb

from killing.plan import Plan

# The server of this context has the client library loaded but has never made a client, so children
# start fast and without a copy of a running client's threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["killing.client"])


def silence_client():
    """Keeps the client from logging each connection that the kills break."""
    logging.getLogger("tigerbeetle").setLevel(logging.CRITICAL)


def send_batches(pipe, address, seed, accounts):
    """The work of the process.

    Messages to the parent: ("ready",), ("sent", batch), ("acked", number, results). Any message
    from the parent asks for an end after the answer to the open request.
    """
    silence_client()
    plan = Plan(seed, accounts)
    with tb.ClientSync(cluster_id=0, replica_addresses=address) as client:
        client.lookup_accounts(accounts[:1])
        pipe.send(("ready",))
        while not pipe.poll():
            batch = plan.next()
            pipe.send(("sent", batch))
            results = client.create_transfers(batch.transfers)
            answer = [(int(result.status), result.timestamp) for result in results]
            pipe.send(("acked", batch.number, answer))


class ClientProcess:
    """The parent's side: the process, and what it has told so far.

    `batches` are those sent, `answers` the results of those acknowledged, by their number.
    """

    def __init__(self, name, address, seed, accounts):
        self.name = name
        self.batches = []
        self.answers = {}
        self.is_ready = threading.Event()
        self._exit = None
        self._pipe, child = CONTEXT.Pipe()
        arguments = (child, address, seed, accounts)
        self._process = CONTEXT.Process(target=send_batches, args=arguments, daemon=True)
        self._process.start()
        child.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                kind, *rest = self._pipe.recv()
            except (EOFError, OSError):
                # The end, perhaps inside a message: then that message does not count.
                return
            if kind == "ready":
                self.is_ready.set()
            elif kind == "sent":
                self.batches.append(rest[0])
            else:
                self.answers[rest[0]] = rest[1]

    def discard(self):
        """Kills the process and reads what it had still told."""
        self._process.kill()
        self._process.join()
        self._reader.join()

    def finish(self, seconds_max, meanwhile=lambda: None):
        """Lets the process end after the answer it waits for; True if it ended well in time.

        `meanwhile` is called each second, and may give up.
        """
        try:
            self._pipe.send("end")
        except OSError:
            # The process is gone already, which is no good end either.
            pass
        deadline = time.monotonic() + seconds_max
        self._process.join(1)
        while self._process.is_alive() and time.monotonic() < deadline:
            meanwhile()
            self._process.join(1)
        ended_well = self._process.exitcode == 0
        self._exit = self._process.exitcode
        self.discard()
        return ended_well

    def ending(self):
        """How it ended, in words; after `finish`."""
        if self._exit is None:
            return "was not answered"
        return f"ended by itself, {self._exit}"
