"""Flask application factories: the REST API and live events."""
