"""Compile an engine of many functions as one: each is lowered once, and the whole is optimised once.

Numba compiles every function on its own: optimises it, translates it to machine code and writes wrappers for
calls from Python, even for a function that only compiled code calls; then its code is optimised again in each
caller, and in each caller's caller. Here a function called from compiled code is a *part*: it is typed and lowered,
and waits. Only what Python calls (a *whole*) is optimised and translated, with all its parts linked in.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NativeLowering

__all__ = ["engine_function"]


class _Part(JITCodeLibrary):
    """Lowered code that waits to be linked: neither optimised nor translated."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalized = True

    def everything(self) -> Iterator[Any]:
        """Yield the libraries that this one calls, then itself."""
        for library in self._linking_libraries:
            if isinstance(library, _Part):
                yield from library.everything()
            else:
                yield library
        yield self


class _Whole(JITCodeLibrary):
    """Code that Python calls: its parts, and what they call, are linked in before the optimisation."""

    _linking_libraries: list[Any]

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        libraries: dict[Any, None] = {}
        for library in self._linking_libraries:
            if isinstance(library, _Part):
                libraries.update(dict.fromkeys(library.everything()))
            else:
                libraries[library] = None
        # Callers first: LLVM leaves out what nothing calls yet.
        self._linking_libraries = list(reversed(libraries))
        super().finalize()


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerPart(NativeLowering):
    _name = "lower_part"

    def run_pass(self, state: Any) -> bool:
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = True
        super().run_pass(state)
        found = state["cr"]
        key = ("part", found.fndesc.unique_name, found.fndesc.mangled_name)  # what callers know it by
        state.targetctx.insert_user_function(key, found.fndesc, [state.library])
        state["cr"] = found._replace(cfunc=key)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerWhole(NativeLowering):
    _name = "lower_whole"

    def run_pass(self, state: Any) -> bool:
        state.library = _Whole(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags.no_cfunc_wrapper = True
        return bool(super().run_pass(state))


def _compiler(lowering: type[NativeLowering]) -> type[CompilerBase]:
    class Compiler(CompilerBase):
        def define_pipelines(self) -> list[PassManager]:
            passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
            passes.passes = [(lowering if step is NativeLowering else step, text) for step, text in passes.passes]
            passes._finalized = False
            passes.finalize()
            return [passes]

    return Compiler


class _PartDispatcher(CPUDispatcher):
    def add_overload(self, cres: Any) -> None:
        self.overloads[tuple(cres.signature.args)] = cres


class _EngineDispatcher(CPUDispatcher):
    """A whole when Python calls it, a part when compiled code does."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(function, locals={}, targetoptions=dict(options), pipeline_class=_WHOLE)
        self._part = _PartDispatcher(function, locals={}, targetoptions=dict(options), pipeline_class=_PART)

    def compile(self, sig: Any) -> Any:
        # The compiler keeps nearly all that it makes: looking for garbage among it took an eighth of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            return super().compile(sig)
        finally:
            if collects:
                gc.enable()

    def get_call_template(self, args: Any, kws: Any) -> Any:
        # A literal is a number like any other: no version of its own.
        args = [types.unliteral(a) for a in args]
        return self._part.get_call_template(args, {name: types.unliteral(a) for name, a in kws.items()})

    def get_overload(self, sig: Any) -> Any:
        return self._part.get_overload(sig)


_PART, _WHOLE = _compiler(_LowerPart), _compiler(_LowerWhole)


def engine_function(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Return a function compiled with Numba at its first call, with all it calls compiled as one.

    Args:
        function: what to compile; it may call other functions of this kind.
        options: Numba's options (`nopython` is understood).
    """
    return _EngineDispatcher(function, {"nopython": True, **options})
