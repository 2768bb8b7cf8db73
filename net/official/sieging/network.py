"""A network of its own: each replica in a namespace, all on one bridge, and ways to cut them off.

Without namespaces (no root, or no `ip`) the replicas are on addresses of the loopback interface,
and nothing can be cut.
"""

import os
import shutil
import subprocess
import sys

MARK = "OFFICIAL_SIEGE_NET"


def command(*words):
    """Runs a command of the system, which has to work."""
    result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {result.stderr.strip()}")


def obstacle():
    """Why namespaces cannot be had here; None if they can."""
    for tool in ("ip", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"no {tool} on this machine"
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    return None if probe.returncode == 0 else probe.stderr.strip()


def enter():
    """Starts this program again in a namespace of its own, which ends with it."""
    if not os.environ.get(MARK):
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--net", "--", sys.executable, *sys.argv])


class Loopback:
    """Addresses of the loopback interface."""

    can_cut = False

    def add(self, number):
        """Makes a place for a replica."""

    def host(self, number):
        return f"127.0.77.{number + 1}"

    def inside(self, _number, words):
        """The command line that runs at this replica's place."""
        return words

    def close(self):
        """Nothing was made."""


class Namespaces:
    """A bridge, and a namespace at each of its ports. The clients are at the bridge itself."""

    can_cut = True

    def __init__(self):
        self.keepers = {}
        command("ip", "link", "set", "lo", "up")
        command("ip", "link", "add", "bridge", "type", "bridge")
        command("ip", "addr", "add", "10.77.0.254/24", "dev", "bridge")
        command("ip", "link", "set", "bridge", "up")

    def host(self, number):
        return f"10.77.0.{number + 1}"

    def add(self, number):
        """Makes a namespace, which lives as long as the process that keeps it."""
        keep = "echo ready; exec sleep infinity"
        keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", keep], stdout=subprocess.PIPE, text=True
        )
        keeper.stdout.readline()
        self.keepers[number] = keeper
        port = f"port{number}"
        place = str(keeper.pid)
        command("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", place)
        command("ip", "link", "set", port, "master", "bridge", "up")
        for words in (
            ["ip", "link", "set", "lo", "up"],
            ["ip", "addr", "add", f"{self.host(number)}/24", "dev", "eth0"],
            ["ip", "link", "set", "eth0", "up"],
        ):
            command(*self.inside(number, words))

    def inside(self, number, words):
        """The command line that runs at this replica's place."""
        return ["nsenter", "-t", str(self.keepers[number].pid), "-n", "--", *words]

    def cut(self, number, other):
        """What `number` sends to `other` is lost from now on."""
        self._route("add", number, other)

    def heal(self, number, other):
        """Ends a cut."""
        self._route("del", number, other)

    def _route(self, action, number, other):
        words = ["ip", "route", action, "blackhole", f"{self.host(other)}/32"]
        command(*self.inside(number, words))

    def close(self):
        """The namespaces end; what runs in them has to have ended."""
        for keeper in self.keepers.values():
            keeper.kill()
            keeper.wait()
