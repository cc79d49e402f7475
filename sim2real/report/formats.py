"""Numbers as people read them."""

from sim2real.statistics import Bound, Estimate

MISSING = "–"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def score(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def signed(value: float | None) -> str:
    """With its sign."""
    return MISSING if value is None else f"{value:+.2f}".replace("-", "−")


def percent(value: float | None) -> str:
    return MISSING if value is None else f"{100.0 * value:.0f} %"


def interval(pair: tuple[float, float] | None, digits: int = 2) -> str:
    """Such as `0.81 … 0.86`."""
    return MISSING if pair is None else f"{pair[0]:.{digits}f} … {pair[1]:.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    """A whole number, thousands apart."""
    return MISSING if value is None else f"{value:,.0f}".replace(",", "\u202f")


def steps(value: float | None) -> str:
    """Such as `1.4 M` or `420 k`."""
    if value is None:
        return MISSING
    if value >= 999_500:
        return f"{value / 1e6:.3g} M"
    return f"{value / 1e3:.3g} k" if value >= 1000 else f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Such as `2 min 08 s` or `4.1 s`."""
    if seconds is None:
        return MISSING
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    return (
        f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )


def radians(value: float | None) -> str:
    """Such as `2.4·10⁻⁷ rad`."""
    if value is None:
        return MISSING
    if value == 0.0:
        return "0 rad"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(power)).translate(SUPERSCRIPTS)} rad"


def ratio(value: float | None, bound: Bound = "=") -> str:
    """Such as `≥ 3.2×`."""
    if value is None or bound == "?":
        return "unknown"
    sign = "" if bound == "=" else f"{bound} "
    return f"{sign}{value:.2g}×" if value < 10 else f"{sign}{value:.0f}×"


def estimate_interval(estimate: Estimate, digits: int = 2) -> str:
    return interval((estimate.lo, estimate.hi), digits)


def plural(number: float, thing: str) -> str:
    """Such as `1 fall` or `2 falls`."""
    return f"{number:g} {thing}{'' if number == 1 else 's'}"
