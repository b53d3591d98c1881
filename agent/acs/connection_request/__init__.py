"""Asking a CPE to begin a session: an HTTP GET on its ConnectionRequestURL (TR-069 A6 §3.2.2). Pure."""
