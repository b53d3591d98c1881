"""What is not here, emulated: EC25 modems, a carrier, 3proxy; for the demo and the tests."""
