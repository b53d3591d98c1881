"""Which CWMP a message speaks, known by the namespace of its RPC (TR-069 A6 §3.5, Annex A)."""

from __future__ import annotations

from enum import Enum
from typing import Self

from agent.core.errors import ProtocolError

CWMP_NAMESPACES = "urn:dslforum-org:cwmp-"


class CwmpVersion(Enum):
    """A namespace in which a CPE may speak, and be answered.

    CWMP 1.3 and 1.4 extend the namespace of 1.2 by the standard; devices are seen that send `cwmp-1-3` and `cwmp-1-4`
    all the same. So V1_2 stands for "1.2 to 1.4 by the book", and the last two for what those devices wrote.
    """

    V1_0 = "urn:dslforum-org:cwmp-1-0"
    V1_1 = "urn:dslforum-org:cwmp-1-1"
    V1_2 = "urn:dslforum-org:cwmp-1-2"
    V1_3 = "urn:dslforum-org:cwmp-1-3"
    V1_4 = "urn:dslforum-org:cwmp-1-4"

    @classmethod
    def parse(cls, namespace: str) -> Self | None:
        """The version of `namespace`; None when it is not CWMP's. Raises ProtocolError for a CWMP we do not know."""
        version = cls._value2member_map_.get(namespace)
        if version is not None:
            return version  # type: ignore[return-value]  # typeshed has Enum, not Self
        if namespace.startswith(CWMP_NAMESPACES):
            raise ProtocolError("a CWMP version that does not exist", namespace)
        return None
