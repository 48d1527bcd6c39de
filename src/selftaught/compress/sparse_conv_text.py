"""The sparse convolution in LLVM IR: an output plane is a sum of input planes, each shifted and weighted.

Direct sparse convolution (Park et al., arXiv 1608.01409): what the columns of the weights hold are places in the padded
image, and a tile is V * L positions that lie one after the other in it.
"""

from __future__ import annotations

from selftaught.compress import sparse_text
from selftaught.compress.sparse_text import Plan, SparseFunction, Values, tiles

__all__ = ["GEOMETRY", "conv_text"]

#: Sizes of a convolution; `direct` are 1 where the image needs no margin, and where the outputs need no cropping.
GEOMETRY = (
    "channels", "height", "width", "top", "left", "tall", "wide", "positions", "rows_out", "columns_out", "direct_in",
    "direct_out",
)  # fmt: skip


def _planes(lanes: int) -> str:
    """y (count, rows, height', width') = convolution of x (count, channels, height, width), stride 1, plus bias.

    The scratch holds a padded image, channels * tall * wide floats and 64 to spare, then rows + 1 times `positions`.
    """
    f = SparseFunction(
        "planes", "ptr %plan, ptr %sizes, ptr %x, i64 %xstride, i64 %count, ptr %y, i64 %ystride, ptr %scratch", lanes
    )
    plan = Plan(f)
    size = {name: f.load(f.at("%sizes", 8 * place), "i64") for place, name in enumerate(GEOMETRY)}
    floats = f.times(size["channels"], f.times(size["tall"], size["wide"]))
    products = f.at("%scratch", f.times(f.plus(floats, 64), 4))
    stride = f.times(size["positions"], 4)
    rows = f.new(f"sub i64 {plan.end}, {plan.begin}")
    direct_in, direct_out = (f.new(f"icmp ne i64 {size[name]}, 0") for name in ("direct_in", "direct_out"))
    to_clear = f.new(f"select i1 {direct_in}, i64 0, i64 {f.plus(floats, 64)}")

    def clear(place: str, none: Values) -> Values:
        f.put_vector(f.splat(0.0), f.at("%scratch", f.times(place, 4)))
        return none

    f.loop(0, to_clear, lanes, [], clear)  # the last vector may reach into the products, which are filled later
    channels = f.new(f"select i1 {direct_in}, i64 0, i64 {size['channels']}")
    cropped = f.new(f"select i1 {direct_out}, i64 0, i64 {rows}")

    def image(number: str, none: Values) -> Values:
        x, y = f.at("%x", f.times("%xstride", number)), f.at("%y", f.times("%ystride", number))

        def channel(c: str, nothing: Values) -> Values:
            def line(row: str, nothing: Values) -> Values:
                source = f.times(f.plus(f.times(c, size["height"]), row), f.times(size["width"], 4))
                down = f.plus(f.times(c, size["tall"]), f.plus(row, size["top"]))
                place = f.plus(f.times(down, size["wide"]), size["left"])
                target = f.at("%scratch", f.times(place, 4))
                f.line(f"call void @copy(ptr {target}, ptr {f.at(x, source)}, i64 {f.times(size['width'], 4)})")
                return nothing

            return f.loop(0, size["height"], 1, nothing, line)

        f.loop(0, channels, 1, [], channel)
        given = f.new(f"select i1 {direct_in}, ptr {x}, ptr %scratch")
        made = f.new(f"select i1 {direct_out}, ptr {y}, ptr {products}")
        begin: str | int = 0
        for width in reversed(sparse_text.WIDTHS):
            step = width * lanes
            left = f.new(f"sub i64 {size['positions']}, {begin}")
            end = f.plus(begin, f.times(f.new(f"sdiv i64 {left}, {step}"), step))

            def positions(place: str, nothing: Values, width: int = width) -> Values:
                offset = f.times(place, 4)
                out = f.at(made, offset)
                f.line(f"call void @fill{width}(ptr %plan, ptr {out}, i64 {stride})")
                f.line(f"call void @tile{width}(ptr %plan, ptr {f.at(given, offset)}, ptr {out}, i64 {stride})")
                return nothing

            f.loop(begin, end, step, [], positions)
            begin = end

        def crop(row: str, nothing: Values) -> Values:
            def line(h: str, nothing: Values) -> Values:
                source = f.plus(f.times(row, size["positions"]), f.times(h, size["wide"]))
                target = f.times(f.plus(f.times(row, size["rows_out"]), h), size["columns_out"])
                bytes_ = f.times(size["columns_out"], 4)
                places = f.at(y, f.times(target, 4)), f.at(products, f.times(source, 4))
                f.line(f"call void @copy(ptr {places[0]}, ptr {places[1]}, i64 {bytes_})")
                return nothing

            return f.loop(0, size["rows_out"], 1, nothing, line)

        f.loop(0, cropped, 1, [], crop)
        return none

    f.loop(0, "%count", 1, [], image)
    f.line("ret void")
    return f.text()


def conv_text(lanes: int) -> str:
    """Return the kernels of convolutions as LLVM IR.

    Args:
        lanes: L, floats in a register; also the rows of a slice.
    """
    return "\n\n".join([*tiles("places32", lanes), _planes(lanes)])
