"""The endpoint that CPEs talk CWMP with (TR-069 A6 §3.4: SOAP over HTTP)."""
