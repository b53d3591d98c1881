"""Emulated CPEs: an independent TR-069 device (nothing of `agent.acs` is used), hundreds of them in one process."""
