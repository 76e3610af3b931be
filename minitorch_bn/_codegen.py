"""Turns the op table into C loops and tables of functions, before anything is compiled.

    src_c/gen/opids.h                 an id for every op and every gradient, and what each gradient reads
    src_c/gen/ops.h                   one C loop per op and gradient; kernels/elementwise.c is compiled from it
    src_c/gen/functions.h             what ops/elementwise.pyx makes functions, in-place forms and methods of
    minitorch_bn/ops/elementwise.pyi  their types

A file is rewritten only when its text changes, so that nothing is compiled without need. Runs with nothing installed.
"""
from __future__ import annotations

import ast
import re
from pathlib import Path

from _optable import REQUIRED, ROWS, ZERO, Row

ROOT = Path(__file__).parent.parent
BOOL_RESULT = ("compare", "predicate", "logical")
MAX_PARAMS = 4
# where() reads its first input as a truth value whatever the dtype of the other two: the one row the table cannot say.
WHERE = Row("where", 3, "where(a, b, c)", (None, "where(a, g, 0)", "where(a, 0, g)"), ((0, 1), (-3, 3), (-3, 3)),
            "b where a is true, else c.", kind="where", value_int="where(a, b, c)", inplace=False)
TABLE = [*ROWS, WHERE]
# The functions of mathfun.h that are long and vectorize, and those that are loops or branches.
LONG = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logit", "logaddexp", "logaddexp2", "xlogy", "xlog1py",
        "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sinc",
        "hypot", "erf", "erfc", "ndtr", "sigmoid", "gelu", "gelu_tanh", "silu", "mish", "softplus", "logsigmoid", "pow",
        "gelu_slope", "silu_slope", "erfinv", "fmod", "remainder", "floordiv"}
BRANCHY = {"lgamma", "digamma", "polygamma", "i0", "i0e", "i1", "i1e"}
# Functions with a short way for all but the largest arguments, m_<name>_near, and the operands whose size decides.
# Their other way is a call for each element.
NEAR = {"sin": "x", "cos": "x", "tan": "x", "fmod": "ab", "remainder": "ab", "floordiv": "ab"}
FAR = {"sin": "sin_any", "cos": "cos_any", "tan": "tan_any"}
# Operations with a loop where the second operand is one number, and the operation whose loop serves where the first is.
NUMBERED = {"add": "add", "sub": "rsub", "rsub": "sub", "mul": "mul", "div": None, "maximum": None, "minimum": None}
# Gradients that are such operations themselves.
AS_VALUE = {"g * b": "mul", "g * a": "mul", "g / b": "div"}
COST = 4  # of one of those, at least, in additions of numbers in cache
HEADER = "generated from minitorch_bn/_optable.py by minitorch_bn/_codegen.py; do not edit"


class ToC(ast.NodeTransformer):
    """Rewrites a table string to C: where() to ?:, calls to m_<name>(), numbers and parameters to T."""

    def __init__(self, names: dict[str, str]):
        self.names = names  # those of functions that are called otherwise in C; "where": m_where, or nothing

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id  # type: ignore[attr-defined]  # only names are called in the table
        jumps = name == "where" and (name not in self.names or is_extreme(node))
        args = [to_c_node(a, self.names) for a in node.args]
        if jumps:
            return ast.Name(f"(({args[0]}) ? ({args[1]}) : ({args[2]}))")
        return ast.Name(f"m_{self.names.get(name, name)}({', '.join(args)})")

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Name(f"((T){float(node.value)!r})" if isinstance(node.value, float) else f"((T){node.value!r})")


def is_extreme(where: ast.Call) -> bool:
    """Whether the two values are those that are compared: an instruction of its own."""
    test, *values = map(ast.unparse, where.args)
    return {*values} == {*re.split(" [<>]=? ", test)}


def to_c_node(node: ast.AST, names: dict[str, str]) -> str:
    return ast.unparse(ToC(names).visit(node))


def to_c(text: str, names: dict[str, str]) -> str:
    return to_c_node(ast.parse(text, mode="eval").body, names)


def names_of(text: str) -> set[str]:
    """The variables that a string reads (not the functions it calls)."""
    tree = ast.parse(text, mode="eval")
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call)}  # type: ignore[attr-defined]
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - called


def check(row: Row) -> None:
    """Refuse a row that could not work, by name, at build time."""
    known = {*row.inputs, *row.params}
    for text in (row.value, row.value_int, row.value_bool):
        if text is not None and (extra := names_of(text) - known):
            raise ValueError(f"op table: {row.name}: the value uses unknown {sorted(extra)}")
    for text in row.grads:
        if text is not None and (extra := names_of(text) - known - {"g", "y"}):
            raise ValueError(f"op table: {row.name}: a gradient uses unknown {sorted(extra)}")
    if len(row.grads) != row.arity or len(row.params) > MAX_PARAMS:
        raise ValueError(f"op table: {row.name}: {row.arity} inputs need as many gradients, and at most {MAX_PARAMS} "
                         "parameters")


def gradients() -> list[tuple[Row, int, str, list[str]]]:
    """(row, input, text, operand names in order) of every gradient that needs a loop: not None, "0" or "g"."""
    return [(row, i, text, [n for n in ("g", *row.inputs, "y") if n in names_of(text)])
            for row in TABLE for i, text in enumerate(row.grads) if text not in (None, "g", ZERO)]


def called(text: str) -> set[str]:
    """The functions that a string calls."""
    return {n.func.id for n in ast.walk(ast.parse(text, mode="eval")) if isinstance(n, ast.Call)}  # type: ignore[attr-defined]


def loop(name: str, out_type: str, operands: list[str], text: str, row: Row, types: dict[str, str], real: bool,
         names: dict[str, str] | None = None) -> str:
    """One C loop. A long body is compiled for whole blocks only, without a scalar copy of it for the last few elements:
    padded() of kernels/elementwise.c gives it these in a block of their own. Where a function has a near way there are
    two loops, and either_way() chooses."""
    if real and names is None and (near := sorted(called(text) & {*NEAR})):
        ways = ({f: f"{f}_near" for f in near}, FAR)
        loops = [loop(f"{way}_{name}", out_type, operands, text, row, types, real, names)
                 for way, names in zip(("near", "far"), ways, strict=True)]
        at = [operands.index(operand) + 1 for operand in NEAR[near[0]]]
        return "\n".join([*loops, f"static void {name}(void *const *p, int64_t n, const double *k) {{ either_way("
                          f"near_{name}, far_{name}, {len(operands)}, {at[0]}, {at[-1]}, p, n, k); }}"])
    blocks = real and bool(called(text) & LONG) and not called(text) & BRANCHY and names is not FAR
    plain = real and not called(text) & {*LONG, *BRANCHY}
    names = {"where": "where"} if plain else names or {}
    params = [p for p in row.params if p in names_of(text)]
    index = list(row.params)
    arguments = "void *const *p, int64_t n, const double *k"
    lines = [f"static NOINLINE void blocks_{name}({arguments}) {{" if blocks else f"static void {name}({arguments}) {{",
             f"    {out_type} *o = p[0];"]
    used = {i + 1: v for i, v in enumerate(operands) if v in names_of(text)}
    lines += [f"    const {types.get(v, 'T')} *{v}_ = p[{i}];" for i, v in used.items()]
    lines += [f"    const T {p} = (T)k[{index.index(p)}];" for p in params] or ["    (void)k;"]
    lines += ["    n &= -PAD;"] if blocks else []
    reads = " ".join(f"const {types.get(v, 'T')} {v} = {v}_[i];" for v in used.values())
    lines += ["    _Pragma(\"GCC ivdep\")", "    for (int64_t i = 0; i < n; i++) {",
              f"        {reads}", f"        o[i] = ({out_type})({to_c(text, names)});", "    }", "}"]
    if blocks:
        lines.append(f"static void {name}({arguments}) {{ padded(blocks_{name}, {len(operands)}, p, n, k); }}")
    return "\n".join(lines)


def value_loops(kind_of_dtype: str) -> list[tuple[Row, str]]:
    """The rows that have a kernel for reals, integers or bool, each with the string that this kernel computes."""
    chosen = []
    for row in TABLE:
        text: str | None = row.value
        if kind_of_dtype == "real":
            text = None if row.kind == "bits" else row.value
        else:
            if row.kind in ("float",):
                text = None
            elif kind_of_dtype == "int":
                text = row.value_int or row.value
            else:
                text = None if row.no_bool else (row.value_bool or row.value_int or row.value)
        if text is not None:
            chosen.append((row, text))
    return chosen


def ops_h() -> str:
    parts = [f"/* {HEADER} */"]
    table = {}
    for kind, condition in (("real", "#if MTB_IS_REAL"), ("bool", "#elif MTB_T_b8"), ("int", "#else")):
        parts.append(condition)
        rows = value_loops(kind)
        for row, text in rows:
            types = {"a": "uint8_t"} if row.kind == "where" else {}
            out = "uint8_t" if row.kind in BOOL_RESULT else "T"
            parts.append(loop(f"value_{row.name}", out, list(row.inputs), text, row, types, kind == "real"))
        if kind == "real":
            parts += [f"NUMBER_LOOP({row.name}, {to_c(row.value, {})})" for row in TABLE if row.name in NUMBERED]
            for row, i, text, operands in gradients():
                if text in AS_VALUE:
                    continue
                types = {"a": "uint8_t"} if row.kind == "where" else {}
                parts.append(loop(f"grad{i}_{row.name}", "T", operands, text, row, types, True))
        table[kind] = "".join(f" \\\n    [MTB_OP_{row.name}] = value_{row.name}," for row, _ in rows)
        parts.append(f"#define VALUE_TABLE{table[kind]}")
    parts.append("#endif")
    made = [(f"{row.name}_{i}", f"value_{AS_VALUE[text]}" if text in AS_VALUE else f"grad{i}_{row.name}")
            for row, i, text, _ in gradients()]
    grads = "".join(f" \\\n    [MTB_GRAD_{name}] = {function}," for name, function in made)
    numbers = ", ".join(f"number_{name}" for name in NUMBERED)
    parts.append(f"#if MTB_IS_REAL\n#define GRAD_TABLE{grads}\n#define NUMBER_TABLE {numbers}\n"
                 "#else\n#define GRAD_TABLE NULL\n#define NUMBER_TABLE NULL\n#endif\n")
    return "\n".join(parts)


def opids_h() -> str:
    kinds = ["float", "arith", "compare", "predicate", "bits", "logical", "where"]
    lines = [f"/* {HEADER} */", "#ifndef MTB_OPIDS_H", "#define MTB_OPIDS_H", "enum {",
             *(f"    MTB_OP_{row.name}," for row in TABLE), "    MTB_NOPS", "};", "enum {",
             *(f"    MTB_GRAD_{row.name}_{i}," for row, i, _, _ in gradients()), "    MTB_NGRADS", "};",
             "enum { " + ", ".join(f"MTB_KIND_{k}" for k in kinds) + f", MTB_NNUMBERS = {len(NUMBERED)} }};",
             "/* grad[i]: the loop of input i's gradient, -1 for zero, -2 for the upstream gradient itself. reads: one",
             " * digit an operand, 0 = g, 1..3 = inputs, 4 = y; saves: the same as a bit mask, for each gradient.",
             " * cost: of an element of the value and of each gradient, in additions. number: for the value and each",
             " * gradient, the loops where the second and the first operand is one number; -1: none. */",
             "typedef struct {", "    const char *name, *reads[3];",
             "    int arity, kind, no_bool, cost[4], grad[3], saves[3], number[4][2];",
             "} mtb_op_info;",
             "static const mtb_op_info mtb_ops[MTB_NOPS] = {"]
    by_key = {(row.name, i): operands for row, i, _, operands in gradients()}
    codes = {"g": 0, "x": 1, "a": 1, "b": 2, "c": 3, "y": 4}
    for row in TABLE:
        reads, grad, saves = [], [], []
        costs = [COST if called(text or "0") & (LONG | BRANCHY) else 1
                 for text in (row.value, *row.grads, *[None] * (3 - row.arity))]
        for i in range(3):
            operands = by_key.get((row.name, i))
            text = row.grads[i] if i < row.arity else None
            reads.append('"' + "".join(str(codes[o]) for o in operands or []) + '"')
            grad.append(f"MTB_GRAD_{row.name}_{i}" if operands else ("-2" if text == "g" else "-1"))
            saves.append(str(sum(1 << codes[o] for o in operands or [] if o != "g")))
        same = [row.name, *(AS_VALUE.get(text or "0") for text in row.grads), *[None] * (3 - row.arity)]
        pairs = [[[*NUMBERED].index(n) if n in NUMBERED else -1 for n in (name, NUMBERED.get(name))] for name in same]
        numbers = ", ".join(f"{{{right}, {left}}}" for right, left in pairs)
        lists = [", ".join(part) for part in (reads, map(str, costs), grad, saves)]
        lines.append(f'    {{"{row.name}", {{{lists[0]}}}, {row.arity}, MTB_KIND_{row.kind}, {int(row.no_bool)}, '
                     f'{{{lists[1]}}}, {{{lists[2]}}}, {{{lists[3]}}}, {{{numbers}}}}},')
    return "\n".join([*lines, "};", "#endif", ""])


def in_order(row: Row) -> list[str]:
    """The parameters as a call may give them by position: those without a default first."""
    return sorted(row.params, key=lambda name: row.params[name] is not REQUIRED)


def functions_h() -> str:
    """The rows as ops/elementwise.pyx makes functions of them."""
    lines = [f"/* {HEADER} */", "#include <math.h>", '#include "opids.h"', "typedef struct {",
             "    const char *text; /* name, aliases, parameters, documentation: a line each */",
             "    int op, arity, tensors, inplace, public, by_name, scaled, place[4];",
             "    double defaults[4]; /* NaN: it has to be given */", "} mtb_function;",
             "static const mtb_function mtb_functions[] = {"]
    for row in ROWS:
        tensors = {"either": 0, "second": 1, "none": 2}[row.numbers]
        params = in_order(row)
        text = "\n".join([row.name, " ".join(row.aliases), " ".join(params), row.doc])
        place = ", ".join(str(list(row.params).index(p)) for p in params) or "0"
        defaults = ", ".join("NAN" if row.params[p] is REQUIRED else repr(float(row.params[p])) for p in params) or "0"
        quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'    {{"{quoted}", MTB_OP_{row.name}, {row.arity}, {tensors}, {row.inplace:d}, '
                     f"{row.public and row.home == 'torch':d}, {row.arity > 1:d}, "
                     f"{0 if row.alpha is None else 1 + row.inputs.index(row.alpha)}, {{{place}}}, {{{defaults}}}}},")
    return "\n".join([*lines, "};", "enum { MTB_NFUNCTIONS = sizeof mtb_functions / sizeof *mtb_functions };", ""])


def functions_pyi() -> str:
    """The types of the functions and of the methods that they are."""
    functions, methods, public = [], ["class _ElementwiseMethods:"], []
    for row in ROWS:
        params = [f"{p}: Any" + ("" if row.params[p] is REQUIRED else f" = {float(row.params[p])!r}")
                  for p in in_order(row)] + ["alpha: _Number = 1"] * (row.alpha is not None)
        star = [] if row.arity == 1 or not params else ["*"]
        others = [f"{n}: Tensor" + (" | _Number" if row.numbers != "none" else "")
                  for n in ("other", "third")[:row.arity - 1]]
        forms = {row.name: ([*others, *star, *params, *([] if star else ["*"]), "out: Tensor | None = None"], "Tensor")}
        if row.inplace:
            forms[row.name + "_"] = ([*others, *star, *params], "Self")
        for name in (row.name, *row.aliases):
            for form, (arguments, result) in forms.items():
                full = name + form[len(row.name):]
                first = "Tensor" if result == "Self" or row.numbers != "either" else "Tensor | _Number"
                functions.append(f"def {full}({', '.join([f'input: {first}', *arguments])}) -> Tensor: ...")
                if row.public and row.home == "torch":
                    public.append(full)
                    methods.append(f"    def {full}({', '.join(['input', *arguments])}) -> {result}: ...")
    head = [f'"""Types of the element-wise functions, in one file. ({HEADER})"""',
            "from collections.abc import Callable", "from typing import Any, TypeAlias", "",
            "from typing_extensions import Self", "", "from minitorch_bn._core import Tensor", "",
            f"__all__ = {public!r}", "_Number: TypeAlias = int | float",
            *[f"{name}: dict[str, Callable[..., Any]]" for name in ("METHODS", "FUNCTIONS", "PRIMITIVES")], ""]
    return "\n".join([*head, *methods, "", *functions, ""])


def write(path: str, text: str) -> None:
    target = ROOT / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


def main() -> None:
    for row in TABLE:
        check(row)
    write("src_c/gen/opids.h", opids_h())
    write("src_c/gen/ops.h", ops_h())
    write("src_c/gen/functions.h", functions_h())
    write("minitorch_bn/ops/elementwise.pyi", functions_pyi())


if __name__ == "__main__":
    main()
