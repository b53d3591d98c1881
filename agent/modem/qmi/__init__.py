"""What qmicli prints, parsed (libqmi 1.30 to 1.36)."""
