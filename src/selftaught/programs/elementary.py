"""Elementary functions on vectors of lanes: branch-free reduction, then a short polynomial.

The reductions are the classical single-precision ones (Cody and Waite, "Software Manual for the
Elementary Functions", 1980). The coefficients are our own minimax fits in float64 (Lawson's
reweighted least squares on Chebyshev nodes), rounded to float32. Largest errors are tested to be
below 4 units in the last place on dense grids and at the edges.
"""

from __future__ import annotations

from selftaught.programs.llvm_text import Function

__all__ = ["UNARY"]

ROUND = 12582912.0  # 1.5 * 2^23: adding and subtracting it rounds to the nearest integer
EXP = (0.4999999403953552, 0.16666515171527863, 0.04166845604777336, 0.008369418792426586, 0.0013813142431899905)
LOG = (
    0.3333331346511841, -0.25000008940696716, 0.2000211924314499, -0.1666799634695053, 0.14219550788402557,
    -0.12405591458082199, 0.11888174712657928, -0.11675640940666199, 0.06746601313352585,
)  # fmt: skip
SIN = (-0.16666653752326965, 0.008332131430506706, -0.00019510838319547474)
COS = (0.04166664555668831, -0.0013887305976822972, 2.4431203200947493e-05)
ATAN = (-0.3333331346511841, 0.1999843418598175, -0.14242738485336304, 0.10587339848279953, -0.06060466542840004)
ASIN = (0.16666753590106964, 0.07495241612195969, 0.04547709599137306, 0.02414761111140251, 0.04221854731440544)


def _round(f: Function, x: str) -> str:
    return f.sub(f.add(x, f.splat(ROUND)), f.splat(ROUND))


def _power_of_two(f: Function, exponent: str) -> str:
    """Return 2^n for an integer vector n in the normal range."""
    return f.from_bits(f.int_op("shl", f.int_op("add", exponent, f.splat_int(127)), f.splat_int(23)))


def exp(f: Function, x: str) -> str:
    """e^x; inf above 88.72, denormals kept, zero below -103.98, nan stays nan."""
    low = f.select(f.compare("olt", x, f.splat(-104.0)), f.splat(-104.0), x)
    clamped = f.select(f.compare("ogt", low, f.splat(89.0)), f.splat(89.0), low)
    n = _round(f, f.mul(clamped, f.splat(1.4426950408889634)))
    minus_n = f.sub(f.splat(-0.0), n)
    r = f.fused(minus_n, f.splat(0.693359375), clamped)
    r = f.fused(minus_n, f.splat(-2.12194440e-4), r)
    tail = f.fused(f.mul(r, r), f.polynomial(r, EXP), r)
    value = f.add(tail, f.splat(1.0))
    # A nan must not reach fptosi (poison): its lane counts with n = 0, the nan comes from `value`.
    finite = f.select(f.compare("ord", n, n), n, f.splat(0.0))
    whole = f.new(f"fptosi {f.float} {finite} to {f.int}")
    half = f.int_op("ashr", whole, f.splat_int(1))
    rest = f.int_op("sub", whole, half)
    return f.mul(f.mul(value, _power_of_two(f, half)), _power_of_two(f, rest))


def log(f: Function, x: str) -> str:
    """ln x; -inf at 0, nan below 0, denormals handled."""
    small = f.compare("olt", x, f.splat(1.1754943508222875e-38))
    scaled = f.select(small, f.mul(x, f.splat(8388608.0)), x)
    bits = f.bits(scaled)
    # The mantissa is taken into [sqrt(1/2), sqrt(2)).
    shifted = f.int_op("sub", bits, f.splat_int(0x3F3504F3))
    exponent = f.int_op("ashr", shifted, f.splat_int(23))
    mantissa = f.from_bits(f.int_op("sub", bits, f.int_op("shl", exponent, f.splat_int(23))))
    e = f.new(f"sitofp {f.int} {exponent} to {f.float}")
    e = f.select(small, f.sub(e, f.splat(23.0)), e)
    r = f.sub(mantissa, f.splat(1.0))
    square = f.mul(r, r)
    y = f.mul(f.mul(square, r), f.polynomial(r, LOG))
    y = f.fused(e, f.splat(-2.12194440e-4), y)
    y = f.fused(f.splat(-0.5), square, y)
    value = f.fused(e, f.splat(0.693359375), f.add(r, y))
    value = f.select(f.compare("oeq", x, f.splat(float("inf"))), f.splat(float("inf")), value)
    value = f.select(f.compare("oeq", x, f.splat(0.0)), f.splat(float("-inf")), value)
    return f.select(
        f.compare("uge", x, f.splat(0.0)), f.select(f.compare("ord", x, x), value, x), f.splat(float("nan"))
    )


def _sin_cos(f: Function, x: str) -> tuple[str, str, str, str]:
    """Return (sin x, cos x) with |x| >= 1e6 taken as 0; the two other values are inputs for tan."""
    huge = f.compare("oge", f.magnitude(x), f.splat(1e6))
    infinite = f.compare("oeq", f.magnitude(x), f.splat(float("inf")))
    kept = f.select(huge, f.splat(0.0), x)
    q = _round(f, f.mul(kept, f.splat(0.6366197723675814)))
    minus_q = f.sub(f.splat(-0.0), q)
    r = kept
    # pi/2 in five parts, three of few bits, so that q times a part is exact. The first four miss pi/2 by 8e-20: times q
    # that is 7 ulp of the smallest r there is.
    parts = (1.5703125, 4.8398971557617188e-4, -1.6292324289679527e-7, 2.5633440682570896e-12, 8.333743212599745e-20)
    for part in parts:
        r = f.fused(minus_q, f.splat(part), r)
    finite = f.select(f.compare("ord", q, q), q, f.splat(0.0))
    quadrant = f.new(f"fptosi {f.float} {finite} to {f.int}")
    square = f.mul(r, r)
    sine = f.fused(f.mul(square, r), f.polynomial(square, SIN), r)
    cosine = f.fused(f.mul(square, square), f.polynomial(square, COS), f.fused(f.splat(-0.5), square, f.splat(1.0)))
    odd_bit = f.int_op("and", quadrant, f.splat_int(1))
    odd = f.new(f"icmp ne {f.int} {odd_bit}, {f.splat_int(0)}")
    sin_sign = f.int_op("shl", quadrant, f.splat_int(30))
    sin_sign = f.int_op("and", sin_sign, f.splat_int(0x80000000))
    next_quadrant = f.int_op("add", quadrant, f.splat_int(1))
    cos_sign = f.int_op("and", f.int_op("shl", next_quadrant, f.splat_int(30)), f.splat_int(0x80000000))
    nan = f.splat(float("nan"))
    sin_x = f.with_sign(f.select(odd, cosine, sine), sin_sign)
    cos_x = f.with_sign(f.select(odd, sine, cosine), cos_sign)
    # sin keeps the sign of a zero: r = x there.
    sin_x = f.select(f.compare("oeq", x, f.splat(0.0)), x, sin_x)
    return f.select(infinite, nan, sin_x), f.select(infinite, nan, cos_x), sine, cosine


def sin(f: Function, x: str) -> str:
    return _sin_cos(f, x)[0]


def cos(f: Function, x: str) -> str:
    return _sin_cos(f, x)[1]


def tan(f: Function, x: str) -> str:
    sine, cosine, _, _ = _sin_cos(f, x)
    return f.div(sine, cosine)


def arcsin(f: Function, x: str) -> str:
    """arcsin x; nan outside [-1, 1], the sign of a zero kept."""
    a = f.magnitude(x)
    large = f.compare("ogt", a, f.splat(0.5))
    half = f.mul(f.splat(0.5), f.sub(f.splat(1.0), a))
    square = f.select(large, half, f.mul(a, a))
    root = f.select(large, f.sqrt(half), a)
    y = f.fused(f.mul(square, root), f.polynomial(square, ASIN), root)
    upper = f.sub(f.splat(1.5707963267948966), f.add(y, y))
    return f.with_sign(f.select(large, upper, y), f.sign_of(x))


def arccos(f: Function, x: str) -> str:
    """arccos x; nan outside [-1, 1]."""
    a = f.magnitude(x)
    large = f.compare("ogt", a, f.splat(0.5))
    half = f.mul(f.splat(0.5), f.sub(f.splat(1.0), a))
    square = f.select(large, half, f.mul(a, a))
    root = f.select(large, f.sqrt(half), a)
    y = f.fused(f.mul(square, root), f.polynomial(square, ASIN), root)
    twice = f.add(y, y)
    negative = f.compare("olt", x, f.splat(0.0))
    # pi in two parts keeps the last bits near x = -1.
    below = f.add(f.sub(f.splat(3.1415927410125732), twice), f.splat(-8.742277657347586e-08))
    outer = f.select(negative, below, twice)
    inner = f.sub(f.splat(1.5707963705062866), f.add(f.with_sign(y, f.sign_of(x)), f.splat(4.371138828673793e-08)))
    return f.select(large, outer, inner)


def arctan(f: Function, x: str) -> str:
    """arctan x, from three ranges split at tan(pi/8) and tan(3 pi/8)."""
    a = f.magnitude(x)
    large = f.compare("ogt", a, f.splat(2.414213562373095))
    middle = f.compare("ogt", a, f.splat(0.4142135623730950))
    top = f.select(large, f.splat(-1.0), f.sub(a, f.splat(1.0)))
    bottom = f.select(large, a, f.add(a, f.splat(1.0)))
    r = f.select(middle, f.div(top, bottom), a)
    base = f.select(large, f.splat(1.5707963267948966), f.select(middle, f.splat(0.7853981633974483), f.splat(0.0)))
    # What float32 lost of pi/2 and pi/4.
    rest = f.select(large, f.splat(-4.371139e-08), f.select(middle, f.splat(-2.1855695e-08), f.splat(0.0)))
    square = f.mul(r, r)
    y = f.fused(f.mul(square, r), f.polynomial(square, ATAN), f.add(r, rest))
    return f.with_sign(f.add(base, y), f.sign_of(x))


UNARY = {
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "arcsin": arcsin,
    "arccos": arccos,
    "arctan": arctan,
    "exp": exp,
    "log": log,
}
