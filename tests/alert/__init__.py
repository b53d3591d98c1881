"""Tests of the rules and their alerts."""
