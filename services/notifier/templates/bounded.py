"""A Jinja environment in which no template can do harm, or take long: whoever may write one need not be trusted. PURE.

The immutable sandbox keeps templates from Python. What it leaves open, 10 ** 10 ** 10, loops in loops in loops, a text
that is doubled forty times, is closed here by paying: every piece of a template that runs costs as many units as it
has nodes, and every text that is made costs its characters. Whoever runs out is stopped. So the bound does not depend
on how fast the machine is, and the same template always meets the same end. A template may call macros and a few
functions, none of the methods of values, and only filters whose cost is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, filters, nodes, pass_context, tests
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

SOURCE_CHARACTERS: Final = 32_768  # of one template
UNITS: Final = 500_000  # of one rendering; a digest of twenty members takes a tenth of them
LONGEST_RANGE: Final = 1_000
LARGEST: Final = 2**63  # of whole numbers: what is multiplied with itself again and again soon has no end
OF_TEXTS: Final = (
    *("abs", "capitalize", "e", "escape", "float", "int", "lower", "string", "title", "trim", "truncate", "upper"),
    "urlencode",
)
OF_ANYTHING: Final = ("count", "d", "default", "first", "items", "last", "length")
TESTS: Final = (
    *("boolean", "defined", "even", "false", "mapping", "none"),
    *("number", "odd", "string", "true", "undefined"),
)
_OPERATORS: Final = frozenset({"+", "-", "*", "/", "//", "**", "%"})
_CONCAT, _PAY, _PLAIN = " concat", " pay", " plain"  # filters that no template can name
Filter = Callable[..., Any]


class TooMuch(SecurityError):
    """A template that would make too long a text, or take too long."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Compiles templates that can do nothing but make a text, and only so much of it.

    One rendering at a time, each begun by `start`.
    """

    intercepted_binops = _OPERATORS
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, own: Mapping[str, Filter], **options: Any) -> None:
        """With the filters *own*, which take texts and numbers, beside those of Jinja that are let in."""
        super().__init__(
            undefined=StrictUndefined,
            optimized=False,  # it would compute constants while it compiles, where nothing is counted
            finalize=self._finalized,
            trim_blocks=True,
            lstrip_blocks=True,
            **options,
        )
        self._left = UNITS
        of_texts = {name: filters.FILTERS[name] for name in OF_TEXTS} | dict(own)
        self.filters = {name: self._paid(function) for name, function in of_texts.items()}
        self.filters |= {name: filters.FILTERS[name] for name in OF_ANYTHING}
        self.filters |= {"join": self._join, _CONCAT: self._concat, _PLAIN: _plain, _PAY: self._pay}
        self.tests = {name: tests.TESTS[name] for name in TESTS}
        self.globals = {"range": _range, "namespace": _namespace}

    def start(self, units: int = UNITS) -> None:
        """Begin a rendering that may cost *units*."""
        self._left = units

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, blocks, loops and the two functions; no method of a value, but `loop.cycle`.

        Raises:
            SecurityError: it is anything else; says so in fewer words than Jinja would.
        """
        if isinstance(obj, Macro | BlockReference | LoopContext | Undefined):  # the last says what is undefined
            return True
        of = getattr(obj, "__self__", None)
        if obj is _range or obj is _namespace or (isinstance(of, LoopContext) and obj.__name__ == "cycle"):
            return True
        raise SecurityError(
            f"{getattr(obj, '__name__', type(obj).__name__)}() cannot be called here; there are filters"
        )

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic of numbers; texts are joined with `~`."""
        for value in (left, right):
            if isinstance(value, Undefined):
                str(value)  # raises, and says what is undefined
        if operator == "**" or not (_is_number(left) and _is_number(right)):
            raise SecurityError(f"expected numbers around {operator}; texts are joined with ~, and ** is not known")
        return _small(super().call_binop(context, operator, left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        """The sign of a number."""
        if not _is_number(arg):
            raise SecurityError(f"expected a number after {operator}")
        return super().call_unop(context, operator, arg)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A member by a key that is a text or a number."""
        return super().getitem(obj, _plain(argument))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > SOURCE_CHARACTERS:
            raise TemplateSyntaxError(f"expected at most {SOURCE_CHARACTERS:,} characters", 1, name, filename)
        parsed = super()._parse(source, name, filename)
        _Pricing(escapes=bool(self.autoescape)).visit(parsed)
        parsed.set_environment(self)
        return parsed

    def _spend(self, units: int) -> None:
        self._left -= units
        if self._left < 0:
            raise TooMuch(f"it makes too much text, or takes too long: more than {UNITS:,} steps and characters")

    @pass_context
    def _finalized(self, _context: Context, value: Any) -> str:
        # Every text that is written passes here, also into a variable; constants too, because a function that is given
        # the context keeps Jinja from making them part of the code.
        text = _written(value)
        self._spend(len(text))
        return text

    def _paid(self, function: Filter) -> Filter:
        def paid(*given: Any, **named: Any) -> Any:
            self._spend(1 + sum(len(each) for each in given if isinstance(each, str)))
            # Jinja's own may be given its environment first, which is no list.
            return function(*map(_plain, given), **{name: _plain(each) for name, each in named.items()})

        passes = getattr(function, "jinja_pass_arg", None)
        if passes is not None:
            paid.jinja_pass_arg = passes  # type: ignore[attr-defined] # how Jinja marks them
        return paid

    def _join(self, values: Iterable[Any], between: str = "") -> str:
        parts: list[Any] = []
        for value in values:
            self._spend(1)
            parts += [between, value] if parts else [value]
        return self._concat(parts)

    def _concat(self, values: Iterable[Any]) -> str:
        texts = [_written(value) for value in values]
        self._spend(sum(map(len, texts)))
        # Beside a text that is HTML, one that is not is escaped.
        return Markup("").join(texts) if any(isinstance(each, Markup) for each in texts) else "".join(texts)

    def _pay(self, value: Any, units: int) -> Any:
        self._spend(units)
        return value


class _Pricing(NodeTransformer):
    """Puts a price on every piece that can run more than once, and a gate before what Jinja does by itself."""

    def __init__(self, *, escapes: bool) -> None:
        self._escapes = escapes

    def visit_Template(self, node: nodes.Template) -> nodes.Node:  # noqa: N802 # Jinja finds it by this name
        return self._priced(node)

    visit_Macro = visit_CallBlock = visit_Block = visit_Template  # noqa: N815

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        if node.test is not None:
            price = 1 + _size(node.test)
            node.test = nodes.And(_filter(nodes.Const(1), _PAY, nodes.Const(price)), node.test)
        return self._priced(node)

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        text = nodes.Const(node.data, lineno=node.lineno)
        return nodes.MarkSafe(text, lineno=node.lineno) if self._escapes else text

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), _CONCAT)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        # Lists of lists of lists can be small to keep and endless to compare.
        self.generic_visit(node)
        node.expr = _filter(node.expr, _PLAIN)
        for operand in node.ops:
            if operand.op not in ("in", "notin"):
                operand.expr = _filter(operand.expr, _PLAIN)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.key = _filter(node.key, _PLAIN)
        return node

    def visit_ScopedEvalContextModifier(self, node: nodes.Node) -> nodes.Node:  # noqa: N802
        raise TemplateSyntaxError("autoescape is not known: what is HTML is always escaped", node.lineno)

    def _priced(self, node: Any) -> nodes.Node:
        price = 1 + _size(node)
        self.generic_visit(node)
        pay = nodes.Output([_filter(nodes.Const("", lineno=node.lineno), _PAY, nodes.Const(price))], lineno=node.lineno)
        node.body.insert(0, pay)
        return node  # type: ignore[no-any-return] # each of the four has a body, and no class in common that says so


def _size(node: nodes.Node) -> int:
    return sum(1 for _ in node.find_all(nodes.Node))


def _filter(value: nodes.Expr, name: str, *given: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(given), [], None, None, lineno=value.lineno)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float | Undefined):
        return str(value)
    raise TypeError(f"expected a text or a number to write, got a {type(value).__name__}")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        raise TypeError(f"expected a text or a number here, got a {type(value).__name__}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _small(number: Any) -> Any:
    if isinstance(number, int) and abs(number) >= LARGEST:
        raise TooMuch(f"expected numbers below {LARGEST:,}")
    return number


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > LONGEST_RANGE:
        raise TooMuch(f"expected at most {LONGEST_RANGE:,} numbers in a range, got {len(found):,}")
    return found


def _namespace(**named: Any) -> Namespace:
    return Namespace(**named)
