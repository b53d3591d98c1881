"""Background jobs: what must happen although nobody asks for it now."""
