"""The parts of kill.py: the server under test, the clients that load it, and the checks."""
