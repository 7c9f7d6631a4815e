"""Write the table of profiles into docs/routers.md, from the table in the code: nydus_core/routers/profiles.py.

python tools/profile_table.py            write it
python tools/profile_table.py --check    only say whether it is up to date (exit status 1 if not)
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from nydus_core.routers import PROFILES, LabelledRouter, Profile

PAGE = Path(__file__).resolve().parent.parent / "docs" / "routers.md"
BEGIN, END = "<!-- profiles: made by tools/profile_table.py -->\n", "<!-- end of profiles -->\n"
HOSTS = {
    "name": "name",
    "identifier": "identifier",
    "address": "**address**",
    "short-address": "**address**",
    "slash-address": "**address**",
    "position": "order",
    "rb": "number and **address**",
    "memcachio": "**address**",
    "zero-address": "**address**",
}


def table() -> str:
    """The table, and after it the differences of each profile from its source."""
    lines = [
        "| router | places keys as | family | hosts by | weights | own options |",
        "|---|---|---|---|---|---|",
    ]
    lines += [row(profile) for profile in PROFILES.values()]
    lines += ["", "Differences from their sources, and why:", ""]
    lines += [f"- `{profile.name}`: {profile.differs}" for profile in PROFILES.values() if profile.differs]
    return "\n".join(lines) + "\n"


def row(profile: Profile) -> str:
    """One profile."""
    label = str(profile.parameters.get("label", "name"))
    by = HOSTS[label] if issubclass(profile.family, LabelledRouter) else "order"
    options = ", ".join(f"`{option}`" for option in profile.options)
    weights = "yes" if profile.weighted else "refused"
    cells = (f"`{profile.name}`", profile.source, profile.family.__name__, by, weights, options)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the table, or check it."""
    text = PAGE.read_text("utf-8")
    made = re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n{table()}\n{END}",
        text,
        flags=re.DOTALL,
    )
    if "--check" not in sys.argv:
        PAGE.write_text(made, "utf-8")
    elif made != text:
        sys.exit(f"{PAGE} is not up to date: python tools/profile_table.py")


if __name__ == "__main__":
    main()
