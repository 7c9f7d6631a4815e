"""Routers, which place keys. Each family of placement rules has a module; ``profiles`` has the table of names."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy
from nydus_core.routers.fingerprint import fingerprint_of, guard, has_fingerprint
from nydus_core.routers.legacy import BaseRouter, routing_params
from nydus_core.routers.patterns import stand_in
from nydus_core.routers.protocol import Node, NodeRouter, Router, Spread, hash_tag
from nydus_core.routers.rules import differences
from nydus_core.routers.subclasses import locate_all

if TYPE_CHECKING:
    from nydus_core.routers.keyed import KeyRouter, LabelledRouter
    from nydus_core.routers.keyless import BroadcastRouter, RoundRobinRouter
    from nydus_core.routers.maglev import Maglev
    from nydus_core.routers.modulo import Furc, Jump, Modulo
    from nydus_core.routers.nydus_consistent import ConsistentHashingRouter
    from nydus_core.routers.nydus_partition import PartitionRouter
    from nydus_core.routers.profile import Profile
    from nydus_core.routers.profiles import PROFILES
    from nydus_core.routers.rendezvous import Rendezvous
    from nydus_core.routers.rendezvous_slots import RendezvousSlots
    from nydus_core.routers.ring import Ring
    from nydus_core.routers.slots import Slots, SlotTable, slot_of
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_core.routers.nydus_consistent": ["ConsistentHashingRouter"],
            "nydus_core.routers.keyed": ["KeyRouter", "LabelledRouter"],
            "nydus_core.routers.keyless": ["BroadcastRouter", "RoundRobinRouter"],
            "nydus_core.routers.maglev": ["Maglev"],
            "nydus_core.routers.modulo": ["Furc", "Jump", "Modulo"],
            "nydus_core.routers.nydus_partition": ["PartitionRouter"],
            "nydus_core.routers.profile": ["Profile"],
            "nydus_core.routers.profiles": ["PROFILES"],
            "nydus_core.routers.rendezvous": ["Rendezvous"],
            "nydus_core.routers.rendezvous_slots": ["RendezvousSlots"],
            "nydus_core.routers.ring": ["Ring"],
            "nydus_core.routers.slots": ["SlotTable", "Slots", "slot_of"],
        },
    )

__all__ = [
    "PROFILES",
    "BaseRouter",
    "BroadcastRouter",
    "ConsistentHashingRouter",
    "Furc",
    "Jump",
    "KeyRouter",
    "LabelledRouter",
    "Maglev",
    "Modulo",
    "Node",
    "NodeRouter",
    "PartitionRouter",
    "Profile",
    "Rendezvous",
    "RendezvousSlots",
    "Ring",
    "RoundRobinRouter",
    "Router",
    "SlotTable",
    "Slots",
    "Spread",
    "differences",
    "fingerprint_of",
    "guard",
    "has_fingerprint",
    "hash_tag",
    "locate_all",
    "routing_params",
    "slot_of",
    "stand_in",
]
