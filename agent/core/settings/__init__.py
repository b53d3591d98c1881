"""Settings: one typed schema (schema), read from files, drop-ins, the environment and credentials (load)."""
