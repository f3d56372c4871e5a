"""Conditions (`year >= 2015 and region in (east, west)`) and small formulas, typed.

A text becomes a frozen tree by a parser of our own and the tree is computed with
arrays: nothing is ever passed to `eval`, `DataFrame.query` or a formula engine, so
neither a study nor a column's name can run code.

Grammar of a condition, loosest first::

    or    := and ("or" and)*
    and   := not ("and" not)*
    not   := "not" not | "(" or ")" | test
    test  := column ("=" | "!=" | "<" | "<=" | ">" | ">=") value
           | column ["not"] "in" "(" value ("," value)* ")"
           | column "is" ["not"] "missing"

Left of an operator stands a column: bare (letters of any script, digits, `_`), or in
backticks or double quotes. Right of it stands a value: a number, a bare word, or text
in single or double quotes; a *column* on the right stands in backticks. A bare word
that is also the name of a column is refused as ambiguous when it is evaluated.

A missing cell makes a comparison unknown (Kleene's three values: unknown and false =
false, unknown or true = true); `is missing` is always known.

Grammar of a formula (step `derive`)::

    sum     := product (("+" | "-") product)*
    product := sign (("*" | "/") sign)*
    sign    := "-" sign | power
    power   := atom ["**" sign]
    atom    := number | column | function "(" sum ("," sum)* ")" | "(" sum ")"

Functions: `log exp sqrt abs` of one argument, `min max` of two or more (by row).
"""

from framework.condition.cells import (
    Kind,
    as_dates,
    as_numbers,
    is_number,
    kind_of,
    number_fix,
    require,
)
from framework.condition.formulas import compute
from framework.condition.grammar import parse, parse_formula
from framework.condition.tokens import FUNCTIONS, MAX_DEPTH
from framework.condition.trees import (
    Call,
    Column,
    Comparison,
    Condition,
    Expression,
    Formula,
    IsMissing,
    Junction,
    Membership,
    Not,
    Number,
    Text,
)
from framework.condition.truth import evaluate

__all__ = [
    "FUNCTIONS",
    "MAX_DEPTH",
    "Call",
    "Column",
    "Comparison",
    "Condition",
    "Expression",
    "Formula",
    "IsMissing",
    "Junction",
    "Kind",
    "Membership",
    "Not",
    "Number",
    "Text",
    "as_dates",
    "as_numbers",
    "compute",
    "evaluate",
    "is_number",
    "kind_of",
    "number_fix",
    "parse",
    "parse_formula",
    "require",
]
