"""Hyperparameters as symbols, with which a program is traced once and then run with the values of each lane.

While a program is traced, a `SymbolicNumber` replaces a number in an attribute of an optimizer, loss or layer.

- Arithmetic with Python numbers (`1 - beta_2`) stays symbolic. It is computed for each lane on the host, in double
  precision, exactly as Keras computes it for a constant.
- An operation with an array turns the symbol into an input of the program.
- A Python branch (`if momentum > 0`) is decided by the value of the representative trial, and the decision is recorded.
  A lane for which it would differ needs another program.
- Code that needs the value itself (`math.sqrt(scale)`) raises `UntraceableError`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kexp.fused.inputs.config_numbers import ConfigPath

__all__ = ["ProgramInputs", "SymbolicNumber", "TraceResult", "UntraceableError"]

Expression = tuple[Any, ...]
"""`("number", path)`, `("constant", value)`, or an operation with its operands: `("sub", expression, expression)`."""
TraceResult = tuple[dict[bool, dict[Expression, int]], dict[Expression, bool]]
"""`ProgramInputs.expressions` and `ProgramInputs.branches`, as plain data for the cache on disk."""

FLOATS, INTS = 96, 32  # the most float and integer inputs of a program; unused ones cost nothing

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}
_UNARY: dict[str, Callable[[Any], Any]] = {"neg": operator.neg, "abs": abs, "bool": bool}


class UntraceableError(TypeError):
    """Code needs the value of a number that differs between lanes.

    Attributes:
        keys: the numbers whose value it needs.
    """

    def __init__(self, keys: frozenset[ConfigPath]) -> None:
        super().__init__(f"the value of {', '.join(sorted(map(str, keys)))} is needed while tracing")
        self.keys = keys
        # Otherwise Keras raises a layer's error again, as a new one of the same type without `keys`.
        self._keras_call_info_injected = True


def _evaluate(expression: Expression, values: Mapping[ConfigPath, Any]) -> Any:
    """Computes an expression for the numbers of one lane."""
    kind = expression[0]
    if kind == "number":
        return values[expression[1]]
    if kind == "constant":
        return expression[1]
    arguments = [_evaluate(each, values) for each in expression[1:]]
    function = _BINARY.get(kind) or _COMPARISONS.get(kind) or _UNARY[kind]
    return function(*arguments)


class ProgramInputs:
    """The inputs of one program, collected while it is traced.

    Args:
        values: the representative trial's numbers.
        found: the result of an earlier trace of the same program.

    Attributes:
        expressions: whether the input is an integer -> expression -> its position among those inputs.
        branches: the condition of each Python branch -> the representative's answer.
    """

    def __init__(self, values: Mapping[ConfigPath, Any], found: TraceResult | None = None) -> None:
        _register_with_jax()
        self.values = values
        self.expressions: dict[bool, dict[Expression, int]] = {True: {}, False: {}}
        self.branches: dict[Expression, bool] = {}
        if found is not None:
            self.expressions, self.branches = found
        self._arrays: tuple[Any, Any] | None = None

    @property
    def found(self) -> TraceResult:
        """The result of tracing: `expressions` and `branches`."""
        return self.expressions, self.branches

    def number(self, key: ConfigPath) -> SymbolicNumber:
        """Returns the symbol of a number."""
        return SymbolicNumber(self, ("number", key), self.values[key])

    def bind(self, floats: Any, ints: Any) -> None:
        """Sets the traced arrays that symbols read, shapes (FLOATS,) and (INTS,)."""
        self._arrays = (floats, ints)

    def array(self, expression: Expression, value: Any) -> Any:
        """Returns the traced scalar of an expression, weakly typed like Python's numbers; adds it to the inputs.

        Raises:
            UntraceableError: the program has no input left.
        """
        # JAX has no public function that makes a traced scalar weakly typed.
        from jax._src.lax.lax import _convert_element_type

        is_integer = isinstance(value, int)
        expressions = self.expressions[is_integer]
        position = expressions.setdefault(expression, len(expressions))
        assert self._arrays is not None
        vector = self._arrays[is_integer]
        if position >= vector.shape[0]:
            raise UntraceableError(_keys(expression))
        return _convert_element_type(vector[position], weak_type=True)

    @property
    def keys(self) -> frozenset[ConfigPath]:
        """The numbers that the program reads, by config path."""
        return frozenset().union(*(_keys(each) for inputs in self.expressions.values() for each in inputs))

    def branch(self, expression: Expression) -> bool:
        """Returns the representative's answer to the condition of a Python branch, and records it."""
        answer = bool(_evaluate(expression, self.values))
        self.branches[expression] = answer
        return answer

    def has_same_branches(self, values: Mapping[ConfigPath, Any]) -> bool:
        """Returns whether a lane with these numbers takes the same Python branches as the representative."""
        return all(bool(_evaluate(each, values)) == answer for each, answer in self.branches.items())

    def arrays(self, lanes: Sequence[Mapping[ConfigPath, Any]]) -> tuple[Any, Any]:
        """Computes the inputs of lanes from their numbers: arrays of shape (lanes, FLOATS) and (lanes, INTS)."""
        import numpy as np

        floats = np.zeros((len(lanes), FLOATS), np.float32)
        ints = np.zeros((len(lanes), INTS), np.int32)
        for array, is_integer in ((floats, False), (ints, True)):
            for expression, position in self.expressions[is_integer].items():
                array[:, position] = [_evaluate(expression, values) for values in lanes]
        return floats, ints


class SymbolicNumber:
    """A number of the config, or the result of arithmetic with such numbers; see the module's docstring."""

    __array_ufunc__ = None  # so that arithmetic with NumPy's scalars is done by this class
    __hash__ = None  # type: ignore[assignment]
    shape = ()
    ndim = 0
    size = 1

    def __init__(self, inputs: ProgramInputs, expression: Expression, value: Any) -> None:
        self._inputs, self._expression, self._value = inputs, expression, value

    @property
    def dtype(self) -> Any:
        """The dtype that Keras gives a Python number."""
        import numpy as np

        return np.dtype(np.int32 if isinstance(self._value, int) else np.float32)

    def __jax_array__(self) -> Any:
        return self._inputs.array(self._expression, self._value)

    def __bool__(self) -> bool:
        return self._inputs.branch(("bool", self._expression))

    def __neg__(self) -> SymbolicNumber:
        return self._unary("neg")

    def __abs__(self) -> SymbolicNumber:
        return self._unary("abs")

    def __pos__(self) -> SymbolicNumber:
        return self

    def _unary(self, kind: str) -> SymbolicNumber:
        return SymbolicNumber(self._inputs, (kind, self._expression), _UNARY[kind](self._value))

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError(_keys(self._expression))

    __float__ = __int__ = __index__ = __array__ = __round__ = __trunc__ = __floor__ = __ceil__ = __complex__ = _refuse

    def __repr__(self) -> str:
        return f"SymbolicNumber({self._expression})"


@functools.cache
def _register_with_jax() -> None:
    """Makes a SymbolicNumber a valid argument of JAX's own compiled functions (`jax.numpy.clip`): its traced scalar."""
    import jax

    jax.tree_util.register_pytree_node(
        SymbolicNumber, lambda number: ((number.__jax_array__(),), None), lambda _, leaves: leaves[0]
    )


def _as_expression(other: Any) -> Expression | None:
    """Returns an operand as an expression; None if it is not a plain number."""
    import numpy as np

    if isinstance(other, SymbolicNumber):
        return other._expression
    if isinstance(other, (bool, int, float)):
        return ("constant", other)
    if isinstance(other, np.number):
        return ("constant", other.item())
    return None


def _value(other: Any) -> Any:
    return other._value if isinstance(other, SymbolicNumber) else other


def _arithmetic(kind: str, swapped: bool) -> Callable[[SymbolicNumber, Any], Any]:
    function = _BINARY[kind]

    def apply(self: SymbolicNumber, other: Any) -> Any:
        expression = _as_expression(other)
        if expression is None:
            array = self.__jax_array__()
            return function(other, array) if swapped else function(array, other)
        pair = (expression, self._expression) if swapped else (self._expression, expression)
        numbers = (_value(other), self._value) if swapped else (self._value, _value(other))
        return SymbolicNumber(self._inputs, (kind, *pair), function(*numbers))

    return apply


def _comparison(kind: str) -> Callable[[SymbolicNumber, Any], Any]:
    function = _COMPARISONS[kind]

    def apply(self: SymbolicNumber, other: Any) -> Any:
        expression = _as_expression(other)
        if expression is None:
            if other is None or isinstance(other, (str, bytes)):
                return NotImplemented
            return function(self.__jax_array__(), other)
        return self._inputs.branch((kind, self._expression, expression))

    return apply


for _kind in _BINARY:
    setattr(SymbolicNumber, f"__{_kind}__", _arithmetic(_kind, swapped=False))
    setattr(SymbolicNumber, f"__r{_kind}__", _arithmetic(_kind, swapped=True))
for _kind in _COMPARISONS:
    setattr(SymbolicNumber, f"__{_kind}__", _comparison(_kind))


def _keys(expression: Expression) -> frozenset[ConfigPath]:
    """Returns the numbers in an expression."""
    if expression[0] == "number":
        return frozenset({expression[1]})
    if expression[0] == "constant":
        return frozenset()
    return frozenset().union(*(_keys(each) for each in expression[1:]))
