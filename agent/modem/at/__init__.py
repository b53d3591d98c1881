"""AT commands: an I/O-free codec, and parsers of what an EC25 answers (3GPP TS 27.007, 27.005; Quectel EC2x
AT manual)."""
