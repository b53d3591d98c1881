"""The names that lxml remembers. lxml 6 keeps every element and attribute name it ever read in a dictionary of the
thread, up to 100 MB of them (some 450 MB of memory); from then on it cannot read new ones. A CPE that sends ever new
names would fill it, before it has said who it is. lxml 7 keeps names with the parser: there is nothing to forget."""

from __future__ import annotations

import ctypes

_CONTEXT = "_ParserDictionaryContext"
_thread_dict = ctypes.pythonapi.PyThreadState_GetDict
# The reference is borrowed, so it must not come as a py_object, whose end would release it.
_thread_dict.restype = ctypes.c_void_p
_thread_dict.argtypes = ()


def forget_names() -> None:
    """Let lxml begin a new dictionary in this thread. Trees that are still in use keep the old one until they go."""
    address = _thread_dict()
    if address:
        ctypes.cast(address, ctypes.py_object).value.pop(_CONTEXT, None)
