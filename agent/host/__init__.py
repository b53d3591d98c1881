"""This Linux machine: udev, ports, links, rules and routes, proxies and their units."""
