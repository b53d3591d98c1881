"""lastmile: one Linux host's agent for LTE modems, CPEs and ONUs. docs/architecture.md is the map."""
