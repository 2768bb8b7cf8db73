"""The parts of siege.py: the network, the replicas in it, and what is done to them."""
