"""CWMP messages: an I/O-free decoder and encoder for CWMP 1.0 to 1.4 over SOAP 1.1 (TR-069 A6 §3.5, Annex A)."""
