"""Times, lengths of time and texts of others, as people read them. PURE."""

from __future__ import annotations


def words(seconds: float) -> str:
    """A length of time as people say it, in its two largest units: `1 h 30 min`, `45 s`, `3 ms`."""
    if abs(seconds) < 1:
        return f"{round(seconds * 1000)} ms"
    if abs(seconds) < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    left, parts = round(abs(seconds)), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return ("-" if seconds < 0 else "") + " ".join(parts[:2])


def clock_time(at: str, today: str) -> str:
    """An RFC 3339 instant in a line, which is read when it appears: the day stands in front only if it is another."""
    return f"{at[11:19]}Z" if at[:10] == today else f"{at[:10]} {at[11:19]}Z"


def full_time(at: str | None) -> str:
    """An RFC 3339 instant with its day; empty without one."""
    return f"{at[:10]} {at[11:].removesuffix('Z')} UTC" if at else ""


def one_line(text: str) -> str:
    """*text* in one line of printable characters.

    What comes from tickets can hold anything; a line break in a subject would be another header.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def table(rows: list[tuple[str, str]]) -> str:
    """Names and values below each other, without those that are empty."""
    return "\n".join(f"{name + ':':12} {one_line(value)}" for name, value in rows if value)
