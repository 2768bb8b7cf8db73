"""What is done to a group while clients load it. Each fault ends with the group whole again."""

import shutil
import signal
import time


class Faults:
    """Chooses faults at random, and does them."""

    def __init__(self, group, random):
        self.group = group
        self.random = random
        self.kills = 0
        self.done = {}

    def next(self):
        """Does one."""
        choices = [
            (self.kill_one, 8),
            (self.kill_leader, 6),
            (self.kill_most, 2),
            (self.kill_all, 2),
            (self.kill_while_starting, 3),
            (self.stand_still, 3),
            (self.hand_over, 3),
            (self.restart_all_in_turn, 1),
            (self.replace, 1),
        ]
        if self.group.network.can_cut:
            choices += [(self.isolate, 4), (self.isolate_leader, 4), (self.cut_one_way, 4)]
        faults, weights = zip(*choices, strict=True)
        fault = self.random.choices(faults, weights)[0]
        fault()
        name = fault.__name__
        self.done[name] = self.done.get(name, 0) + 1
        return name

    def _any(self):
        return self.random.choice(list(self.group.members.values()))

    def _dwell(self, most=1.5):
        time.sleep(self.random.uniform(0, most))

    def _kill(self, replica):
        replica.kill()
        self.kills += 1

    def _kill_and_start(self, replicas):
        for replica in replicas:
            self._kill(replica)
        self._dwell()
        for replica in self.random.sample(replicas, len(replicas)):
            replica.start()

    def kill_one(self):
        self._kill_and_start([self._any()])

    def kill_leader(self):
        self._kill_and_start([self.group.leader()])

    def kill_most(self):
        """A majority, so nothing can be acknowledged until it is back."""
        self._kill_and_start(self.random.sample(list(self.group.members.values()), 2))

    def kill_all(self):
        self._kill_and_start(list(self.group.members.values()))

    def kill_while_starting(self):
        """A crash while it recovers from the one before."""
        replica = self._any()
        for _ in range(self.random.randint(2, 4)):
            self._kill(replica)
            replica.start()
            self._dwell(0.4)

    def stand_still(self):
        replica = self._any()
        replica.signal(signal.SIGSTOP)
        self._dwell(3)
        replica.signal(signal.SIGCONT)

    def hand_over(self):
        leader = self.group.leader()
        status = leader.status()
        if not (status and status["is_serving"]):
            return
        others = [m["replica"] for m in status["members"] if m["is_healthy"] and m["lag"] == 0]
        if others:
            to = self.random.choice(others)
            self.group.giro("cluster", "transfer", f"--replica={to}", leader.dir)

    def restart_all_in_turn(self):
        """An upgrade: each is stopped, a leader hands over, and follows again before the next."""
        for replica in list(self.group.members.values()):
            self.group.leader()
            replica.stop()
            replica.start()
            self._until_followed()

    def _until_followed(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = self.group.leader().status()
            others = [m for m in status["members"] if m["is_healthy"] is not None]
            if all(m["is_healthy"] and m["lag"] < 100 for m in others):
                return
            time.sleep(0.05)

    def replace(self):
        """A directory is lost, for good; another replica takes the place."""
        lost = self._any()
        self._kill(lost)
        shutil.rmtree(lost.dir)
        self.group.replace(lost)

    def isolate(self):
        self._cut_off(self._any(), both_ways=True)

    def isolate_leader(self):
        self._cut_off(self.group.leader(), both_ways=True)

    def cut_one_way(self):
        self._cut_off(self._any(), both_ways=False)

    def _cut_off(self, replica, both_ways):
        """From the other replicas; clients go on reaching it."""
        network = self.group.network
        others = [n for n in self.group.members if n != replica.number]
        cuts = [(replica.number, n) for n in others]
        if both_ways:
            cuts += [(n, replica.number) for n in others]
        for pair in cuts:
            network.cut(*pair)
        self._dwell(3)
        for pair in cuts:
            network.heal(*pair)
