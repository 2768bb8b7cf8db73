"""A group of replicas: started, killed, stopped, replaced, and asked how they are."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from killing.check import Violation, demand

PORT = 3001
PATIENCE_SECONDS = 60
SLOW_SECONDS = 20
JOIN_SECONDS = 240
EQUAL_SECONDS_MAX = 900
REPLICAS = 3


class Replica:
    """A process on a directory of its own."""

    def __init__(self, group, number):
        self.group = group
        self.number = number
        self.dir = group.folder / f"replica-{number}"
        self.log = group.folder / f"replica-{number}.log"
        self.process = None

    @property
    def address(self):
        return f"{self.group.network.host(self.number)}:{PORT}"

    def format(self):
        words = ["format", "--cluster=0", f"--replica={self.number}", "--log-spares=1"]
        words += [f"--replica-count={REPLICAS}", f"--cluster-key={self.group.folder / 'key'}"]
        self.group.giro(*words, self.dir)

    def start(self):
        everyone = [f"{self.group.network.host(n)}:{PORT}" for n in range(self.group.count)]
        words = [str(self.group.binary), "start", f"--addresses={','.join(everyone)}"]
        words += [*self.group.options, str(self.dir)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.group.network.inside(self.number, words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, which):
        self.process.send_signal(which)

    def kill(self):
        """SIGKILL; it must have been alive until then."""
        if self.process is None:
            return
        code = self.process.poll()
        demand(code is None, f"replica {self.number} ended by itself, {code}:\n{self.log_tail()}")
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self):
        """SIGTERM, and a good end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        demand(code == 0, f"replica {self.number} was stopped: {code}\n{self.log_tail()}")
        self.process = None

    def status(self):
        """How it sees the group; None while it does not answer."""
        words = [str(self.group.binary), "cluster", "status", "--json", str(self.dir)]
        try:
            result = subprocess.run(words, capture_output=True, text=True, timeout=5)
        except subprocess.TimeoutExpired:
            return None
        return json.loads(result.stdout) if result.returncode == 0 else None

    def log_tail(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-15:])

    def doing(self):
        """What its log says last, and where its threads are: of one that does not go on."""
        lines = [f"replica {self.number}:", self.log_tail()]
        process = self.process and self.process.pid
        for thread in sorted(Path(f"/proc/{process}/task").glob("*")):
            try:
                name = (thread / "comm").read_text().strip()
                state = (thread / "stat").read_text().rpartition(") ")[2][0]
                place = (thread / "wchan").read_text().strip()
            except OSError:
                continue
            # Only root may see this one.
            try:
                stack = (thread / "stack").read_text().split("\n")[:6]
            except OSError:
                stack = []
            calls = " < ".join(line.partition("] ")[2].partition("+")[0] for line in stack if line)
            lines.append(f"  thread {name}: {state} in {place}: {calls}")
        return "\n".join(lines)


class Group:
    """The replicas that are members, by their numbers."""

    def __init__(self, binary, folder, network, options):
        self.binary = binary
        self.folder = folder
        self.network = network
        self.options = options
        self.members = {}
        # Members or not: whoever was made may run.
        self.made = []
        self.count = 0
        for _ in range(REPLICAS):
            replica = self.make()
            self.members[replica.number] = replica
        for replica in self.members.values():
            replica.start()
        self.leader()

    def make(self):
        """A new replica, with a number that none had before."""
        replica = Replica(self, self.count)
        self.made.append(replica)
        self.count += 1
        self.network.add(replica.number)
        replica.format()
        return replica

    @property
    def addresses(self):
        """What clients get: the members in the order of their numbers."""
        return ",".join(self.members[number].address for number in sorted(self.members))

    def giro(self, *words):
        """Runs a command of giro, which has to work."""
        words = [str(self.binary), *map(str, words)]
        result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if result.returncode != 0:
            raise Violation(f"{' '.join(words)}: {result.stdout}{result.stderr}")

    def leader(self):
        """Who serves, as soon as somebody does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for replica in self.members.values():
                status = replica.process and replica.status()
                if status and status["is_serving"]:
                    return replica
            time.sleep(0.02)
        raise Violation(f"nobody leads for {PATIENCE_SECONDS} s\n{self.doing()}")

    def demand_alive(self):
        """None that should run has ended by itself."""
        for replica in self.members.values():
            code = replica.process and replica.process.poll()
            ended = f"replica {replica.number} ended by itself, {code}:"
            demand(code is None, f"{ended}\n{replica.log_tail()}")

    def status(self):
        """How each member sees the group."""
        return {number: replica.status() for number, replica in self.members.items()}

    def doing(self):
        """What each member does, for whoever asks why it does not go on."""
        return "\n".join(replica.doing() for replica in self.members.values())

    def lead_among(self, known):
        """Sees to a leader that clients with an older list know: official ones ask nobody else."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (leader := self.leader()).number not in known:
            demand(time.monotonic() < deadline, f"replica {leader.number} goes on leading")
            to = min(number for number in self.members if number in known)
            try:
                self.giro("cluster", "transfer", f"--replica={to}", leader.dir)
            except Violation:
                # It may have to catch up first.
                time.sleep(0.1)

    def until_equal(self):
        """Waits until all replicas have the same state; at equal ops it must be the same.

        One that lags may take its time, as a slow disk does, but has to go on.
        """
        begun = moved = time.monotonic()
        before = None
        while True:
            states = self.status()
            found = {n: s and (s["op"], s["digest"]) for n, s in states.items()}
            different = set(found.values())
            if None not in different and len({op for op, _ in different}) == 1:
                demand(len(different) == 1, f"replicas differ at the same op: {found}")
                break
            now = time.monotonic()
            if found != before:
                before, moved = found, now
            if now - moved > PATIENCE_SECONDS or now - begun > EQUAL_SECONDS_MAX:
                raise Violation(f"a replica stays behind: {states}\n{self.doing()}")
            time.sleep(0.05)
        waited = time.monotonic() - begun
        if waited > SLOW_SECONDS:
            print(f"slow disk? a replica needed {waited:.0f} s to catch up", flush=True)

    def replace(self, lost):
        """A new replica takes the place of one whose directory is gone."""
        new = self.make()
        new.start()
        peer = f"{self.network.host(new.number)}:{PORT + 1000}"
        words = ["cluster", "recover", f"--lost={lost.number}", f"--replica={new.number}"]
        words += [f"--peer={peer}", f"--wait={JOIN_SECONDS}"]
        deadline = time.monotonic() + 2 * JOIN_SECONDS
        while True:
            try:
                self.giro(*words, self.leader().dir)
                break
            except Violation as refused:
                # Leadership may pass on meanwhile: then the order goes on in another directory.
                elsewhere = "give the order in the directory of" in str(refused)
                if not elsewhere or time.monotonic() > deadline:
                    raise
        del self.members[lost.number]
        self.members[new.number] = new

    def close(self):
        """Ends every process."""
        for replica in self.made:
            if replica.process and replica.process.poll() is None:
                os.killpg(replica.process.pid, signal.SIGKILL)
                replica.process.wait()
        self.network.close()
