#!/usr/bin/env python3
"""Runs the field's official clients, unmodified, against a server.

Each client is installed from its registry into a cache folder, once. What cannot be installed (no
network, no node) is skipped with a line that says why; --require-all makes that a failure.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

# The clients: (kind, release, folder of tests). The oldest and the newest release of each line.
CLIENTS = [
    ("python", "0.17.9", "dense"),  # the newest; one result for each event
    ("python", "0.16.78", "sparse"),  # the last that lists only failures
    ("python", "0.16.16", "sparse"),  # the oldest on PyPI; requests without a batch trailer
    ("node", "0.17.9", "node"),
    ("node", "0.16.4", "node"),  # the oldest release that speaks this protocol
]
PYTEST = "9.2.0"
NODE_MAJOR_MIN = 20  # for its test runner

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / "target" / "official"
INSTALL_SECONDS_MAX = 300
SUITE_SECONDS_MAX = 240


class Unavailable(Exception):
    """A client that cannot be installed here, and why."""


def install(folder, commands, env=None):
    """Runs the commands that fill `folder`, unless an earlier run has completed them."""
    done = folder / "installed"
    if done.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for command in commands:
        try:
            result = subprocess.run(
                command,
                cwd=folder,
                env=env,
                timeout=INSTALL_SECONDS_MAX,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{command[0]}: {error}") from error
        if result.returncode != 0:
            lines = (result.stderr or result.stdout).strip().splitlines() or ["no output"]
            raise Unavailable(f"{' '.join(map(str, command[:4]))} failed: {lines[-1]}")
    done.touch()


def python_environment(cache, release):
    """The interpreter of a virtual environment with this release of the Python client."""
    folder = cache / f"python-{release}"
    interpreter = folder / "venv" / "bin" / "python"
    pip = [interpreter, "-m", "pip", "--disable-pip-version-check", "--retries=1", "--timeout=20"]
    packages = [f"tigerbeetle=={release}", f"pytest=={PYTEST}"]
    install(
        folder,
        [
            [sys.executable, "-m", "venv", folder / "venv"],
            [*pip, "install", "--quiet", "--only-binary=:all:", *packages],
        ],
    )
    return interpreter


def node_environment(cache, release):
    """The node_modules folder with this release of the Node client."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise Unavailable(f"no {tool} on this machine")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0] or 0) < NODE_MAJOR_MIN:
        raise Unavailable(f"node {version} is older than {NODE_MAJOR_MIN}")
    folder = cache / f"node-{release}"
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    # The prefix keeps npm from looking for a project further up.
    install(
        folder,
        [["npm", "install", "--prefix", folder, *options, f"tigerbeetle-node@{release}"]],
        env=os.environ | {"NO_UPDATE_NOTIFIER": "1"},
    )
    check_node(folder / "node_modules", release)
    return folder / "node_modules"


def check_node(modules, release):
    """The client must load: the oldest one needs rights to read its own memory map."""
    probe = subprocess.run(
        ["node", "-e", "require('tigerbeetle-node')"],
        env=os.environ | {"NODE_PATH": str(modules)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if probe.returncode != 0:
        lines = [line for line in probe.stderr.splitlines() if "Error" in line]
        raise Unavailable(
            f"release {release} does not load: {(lines or ['no message'])[0].strip()}"
        )


def python_command(interpreter, folder, suite, address):
    """pytest on one folder of tests, with the part of it that `suite` names."""
    root = HERE / "python"
    if folder == "sparse":
        paths = [root / "sparse"]
    elif suite == "queries":
        paths = [root / "dense" / "queries"]
    elif suite == "core":
        paths = [root / "dense", f"--ignore={root / 'dense' / 'queries'}"]
    else:
        paths = [root / "dense"]
    return [
        interpreter,
        "-m",
        "pytest",
        "-q",
        "-c",
        root / "pytest.ini",
        f"--address={address}",
        *paths,
    ]


def node_command(suite):
    """node's own test runner, one file after the other."""
    names = {"core": ["core"], "queries": ["queries"], "all": ["core", "queries"]}[suite]
    files = [HERE / "node" / f"{name}.test.js" for name in names]
    return ["node", "--test", "--test-concurrency=1", "--test-reporter=spec", *files]


def run_client(kind, release, folder, options):
    """Installs and runs one client; True if its tests passed."""
    cache = options.cache.resolve()
    env = os.environ | {"OFFICIAL_ADDRESS": options.address, "PYTHONDONTWRITEBYTECODE": "1"}
    if kind == "python":
        interpreter = python_environment(cache, release)
        command = python_command(interpreter, folder, options.suite, options.address)
    else:
        env["NODE_PATH"] = str(node_environment(cache, release))
        command = node_command(options.suite)
    print(f"== {kind} {release}: {folder}, {options.suite}", flush=True)
    started = time.monotonic()
    try:
        code = subprocess.run(
            command, cwd=HERE, env=env, stdin=subprocess.DEVNULL, timeout=SUITE_SECONDS_MAX
        ).returncode
    except subprocess.TimeoutExpired:
        code = f"no end after {SUITE_SECONDS_MAX} s"
    seconds = time.monotonic() - started
    verdict = "passed" if code == 0 else f"FAILED ({code})"
    print(f"== {kind} {release}: {verdict} in {seconds:.1f} s", flush=True)
    return code == 0


def wait_for_server(addresses, seconds):
    """Waits until all listen; a client would otherwise retry without a word."""
    for address in addresses.split(","):
        wait_for_one(address, seconds)


def wait_for_one(address, seconds):
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"run.py: nobody listens on {address}: {error}")
            time.sleep(0.1)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True, help="HOST:PORT, or several with commas")
    parser.add_argument("--only", choices=["python", "node"], help="one kind of client")
    parser.add_argument("--release", help="one release of the clients in the table")
    parser.add_argument("--suite", choices=["core", "queries", "all"], default="all")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default {CACHE}")
    parser.add_argument("--wait", type=float, default=10, help="seconds to wait for the server")
    parser.add_argument("--require-all", action="store_true", help="a skipped client is a failure")
    options = parser.parse_args()
    parts = options.address.split(",")
    parts = [part if ":" in part else f"127.0.0.1:{part}" for part in parts]
    options.address = ",".join(parts)
    return options


def main():
    options = parse_options()
    wait_for_server(options.address, options.wait)
    passed, failed, skipped = [], [], []
    for kind, release, folder in CLIENTS:
        name = f"{kind} {release}"
        if options.only not in (None, kind) or options.release not in (None, release):
            continue
        if folder == "sparse" and options.suite == "queries":
            continue
        try:
            ok = run_client(kind, release, folder, options)
            (passed if ok else failed).append(name)
        except Unavailable as reason:
            print(f"== {name}: skipped, {reason}", flush=True)
            skipped.append(name)
    print(
        f"passed: {', '.join(passed) or '-'}; failed: {', '.join(failed) or '-'}; "
        f"skipped: {', '.join(skipped) or '-'}"
    )
    if failed or (skipped and options.require_all) or not (passed or skipped):
        sys.exit(1)


if __name__ == "__main__":
    main()
