"""The words every room shares: errors, identifiers, time, back-off, settings. Imports no other room."""
