"""The commands, and the only place that puts the parts together."""
