"""A CWMP session (TR-069 A6 §3.7) as a pure state machine: a message goes in, an answer and effects come out."""
