"""Who a CPE is: HTTP authentication (RFC 7617, RFC 7616, RFC 2617), and which device its credentials may speak for.
Pure: keys, random bytes and times are given in, and what must be remembered is given out."""
