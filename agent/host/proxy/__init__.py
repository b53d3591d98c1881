"""The modems' proxies on this machine: 3proxy's configuration, its check, and the instances that run it."""
