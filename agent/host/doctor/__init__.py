"""Gathers the facts that `agent.doctor` judges. Nothing here changes anything on the host."""
