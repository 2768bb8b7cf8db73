#!/usr/bin/env python3
"""Lays siege to a group of three replicas while official clients load it, and audits what is left.

Each round: client processes send random batches; meanwhile replicas are killed, stand still, are
cut off, hand over, restart in turn, are lost for good and replaced. Then every client must have
been answered, all replicas must have the same state, and a fresh client checks that every
transfer is there once and exactly as sent, and that balances are the sums of the transfers.

Each replica is in a network namespace of its own where that is possible (root, `ip`).

    siege.py --giro target/release/giro --kills 200
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import kill
import run

FREE_BYTES_MIN = 2 << 30


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--giro", type=Path, required=True, help="the binary")
    parser.add_argument("--kills", type=int, default=20, help="ends with the round that has them")
    parser.add_argument("--seed", type=int, default=None, help="default: random, and printed")
    parser.add_argument("--clients", type=int, default=4, help="client processes")
    parser.add_argument("--faults", type=int, default=4, help="in a round")
    parser.add_argument(
        "--patience", type=int, default=240, help="seconds until a client must be answered"
    )
    parser.add_argument("--loopback", action="store_true", help="no namespaces, so no cuts")
    parser.add_argument("--require-namespaces", action="store_true", help="or fail")
    parser.add_argument("--dir", type=Path, help="default: a new one, removed after success")
    parser.add_argument("--cache", type=Path, default=run.CACHE)
    return parser.parse_args()


def choose_network(options):
    """Namespaces where they can be had."""
    from sieging import network

    why = "asked for" if options.loopback else network.obstacle()
    if why is None:
        network.enter()
        return network.Namespaces()
    if options.require_namespaces:
        sys.exit(f"siege.py: no namespaces: {why}")
    print(f"siege.py: on the loopback interface, without cuts: {why}", flush=True)
    return network.Loopback()


class Siege:
    """The rounds, one after the other, on one group."""

    def __init__(self, options, folder, network):
        from killing.check import Counts
        from killing.client import silence_client
        from sieging.faults import Faults
        from sieging.group import Group

        silence_client()
        self.options = options
        self.random = random.Random(options.seed)
        # So few rows that generations and checkpoints are made all the time, and so few entries
        # behind them that who was away for longer needs a checkpoint.
        settings = ["--generation-rows=2000", "--log-kept-mib=64", "--log-spares=2"]
        self.group = Group(options.giro.resolve(), folder, network, settings)
        self.faults = Faults(self.group, self.random)
        self.counts = Counts()
        self.clients = []
        self.finished = []

    def run(self):
        number = 0
        while self.faults.kills < self.options.kills:
            self.run_round(number)
            number += 1
        with kill.watchdog("the last check"), self.client() as client:
            for finished in self.finished[-20:]:
                finished.check(client)
        for replica in self.group.members.values():
            replica.stop()
        return number

    def run_round(self, number):
        from killing.check import Round, Violation

        known = set(self.group.members)
        accounts = self.load(number)
        done = []
        for _ in range(self.options.faults):
            time.sleep(self.random.uniform(0, 0.8))
            done.append(self.faults.next())
        self.group.lead_among(known)
        whole = time.monotonic()
        for client in self.clients:
            if not client.finish(self.options.patience, self.group.demand_alive):
                raise Violation(self.unanswered(client, done))
        waited = time.monotonic() - whole
        self.group.until_equal()
        this = Round(self.clients, accounts)
        with kill.watchdog(f"the check of round {number}"), self.client() as client:
            this.check(client)
            if self.finished:
                self.random.choice(self.finished).check(client)
        self.finished.append(this.summary())
        self.counts.add(this.counts)
        c = this.counts
        print(
            f"round {number}: {', '.join(done)}; {c.acked_batches} batches and "
            f"{c.acked_transfers} transfers acknowledged, all there; {self.faults.kills} kills; "
            f"all clients answered {waited:.1f} s after the last fault",
            flush=True,
        )

    def unanswered(self, client, done):
        """What there is to know when a client got no answer."""
        answered = {other.name: len(other.answers) for other in self.clients}
        free = shutil.disk_usage(self.group.folder).free >> 20
        return (
            f"{client.name} {client.ending()}, after {done}; answered so far: {answered}; "
            f"{free} MiB are free on the disk\n{self.group.status()}\n{self.group.doing()}"
        )

    def load(self, number):
        """Opens the accounts of a round and starts its clients."""
        from killing import load

        seed, count = self.options.seed, self.options.clients
        with kill.watchdog("opening accounts"), self.client() as client:
            ids, self.clients = load.start(client, self.group.addresses, seed, number, count)
        return ids

    def client(self):
        import tigerbeetle

        return tigerbeetle.ClientSync(cluster_id=0, replica_addresses=self.group.addresses)

    def close(self):
        """Ends everything that was started."""
        for client in self.clients:
            client.discard()
        self.group.close()


def main():
    options = parse_options()
    if options.seed is None:
        # Known before the program starts itself again, so that all print the same.
        known = os.environ.setdefault("OFFICIAL_SIEGE_SEED", str(random.getrandbits(32)))
        options.seed = int(known)
    kill.enter_environment(options.cache)
    network = choose_network(options)
    folder = options.dir or Path(tempfile.mkdtemp(prefix="official-siege-"))
    folder.mkdir(parents=True, exist_ok=True)
    where = "in namespaces" if network.can_cut else "on loopback"
    release = kill.CLIENT_RELEASE
    print(f"siege.py: client {release}, seed {options.seed}, {where}, in {folder}", flush=True)
    # A replica without room waits for it, and then so do clients: that is no failure of the group.
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        sys.exit(f"siege.py: {free >> 20} MiB are free there, {FREE_BYTES_MIN >> 20} are needed")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    started = time.monotonic()
    siege = Siege(options, folder, network)
    try:
        rounds = siege.run()
    except BaseException as error:
        reason = str(error) or type(error).__name__
        print(f"siege.py: FAILED after {siege.faults.kills} kills: {reason}")
        print(f"siege.py: seed {options.seed}; data and logs are kept in {folder}", flush=True)
        siege.close()
        # A client may still wait for the group; a normal exit would wait for it.
        os._exit(1)
    siege.close()
    c = siege.counts
    faults = ", ".join(f"{name} {count}" for name, count in sorted(siege.faults.done.items()))
    print(
        f"siege.py: passed. {rounds} rounds, {siege.faults.kills} kills, "
        f"{time.monotonic() - started:.0f} s ({faults}); every client was answered; "
        f"{c.acked_batches} batches, {c.acked_transfers} transfers, all there, once; "
        f"{c.burned} burned ids still burned; digests equal after each round"
    )
    if options.dir is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
