"""An LTE modem: what is known of it, what is decided about it, and the loop that acts."""
