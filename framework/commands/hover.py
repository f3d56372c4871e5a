"""What an editor says about a key of a study when the mouse rests on it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Words = Mapping[str, str]


def _words(**said: str) -> Words:
    """A read-only mapping; a trailing underscore keeps Python's own words free."""
    return MappingProxyType({key.removesuffix("_"): text for key, text in said.items()})


TOP: Words = _words(
    study="Name of the study and of its folder below runs/: a letter, then letters, "
    "digits and underscores.",
    title="Title of the report.",
    seed="Whole number from which every random draw and fold follows; renaming or "
    "reordering moves no number.",
    from_="Another study's file: its seed, data, model and labels are the start, and "
    "what is written here is merged over them. Its checks are not taken.",
    data="Where the data come from and what is done to them before any estimation.",
    model="The main specification: outcome, treatment, controls, fixed effects, "
    "inference, estimator. Every check is this model with something changed.",
    checks="Heading (a table or figure) -> line (its column or columns) -> what is "
    "changed. An empty line {} is the model itself.",
    families="Columns whose p values are adjusted for multiple testing together: "
    "heading or heading.line -> holm or romano_wolf.",
    labels="Column -> the words that tables and figures print for it.",
    published='Numbers as the paper prints them, in quotes ("0.1140** (0.0556)"), '
    "arranged as the checks are; or the path of a YAML file that holds them.",
    frozen="Hash of the primary specification (`estimand plan` prints it), fixed before "
    "estimation: the study is refused once data, model or seed differ from it.",
    report="Heading -> its title, rows and baseline column in the report.",
)
DATA: Words = _words(
    source="A file's path, {package, dataset} of an installed data package, or "
    "{url, query} of a database.",
    missing="Missing cells in a column that an estimation uses: `error` refuses it, "
    "`drop` leaves the rows out and counts them in the ledger.",
    panel="Columns of the unit and the period. None: one cross-section; time alone: "
    "repeated cross-sections.",
    columns="The data dictionary: column -> label, or {label, unit, type, map, "
    "missing, min, max}, which is checked against the data.",
    groups="Name -> list of columns; the name may stand wherever a column may.",
    steps="Named steps that make or change columns or keep rows, in this order. Each "
    "says how many rows and cells it changed.",
    spatial_weights="Named matrices of spatial weights, which model.spatial_weights "
    "refers to.",
)
SOURCE: Words = _words(
    path="File with the data, relative to the study: .csv, .csv.gz, .tsv, .parquet, "
    ".feather, .dta or .xlsx.",
    encoding="How a text file is encoded; default UTF-8. Chinese Windows files are "
    "often gb18030.",
    separator="What separates the cells of a text file; default a comma.",
    decimal="Decimal mark of a text file; default a point.",
    thousands="Mark between thousands in a text file; default none.",
    sheet="Sheet of an Excel file, by name or position from 0.",
    sha256="Fingerprint of the file: other data under the same name are refused.",
    package="Installed Python package that ships the dataset.",
    dataset="Name of the dataset in the package.",
    url="Database: sqlite:///file.db, duckdb:///file.duckdb or postgresql://host/name; "
    "passwords come from the environment, never from the study.",
    query="The SELECT that gives the rows.",
)
PANEL: Words = _words(
    unit="Column that names the unit (firm, city, person).",
    time="Column of the period; a whole number such as the year.",
)
COLUMN: Words = _words(
    label="Words for the column in tables and figures.",
    unit="Unit of measurement, for tables and figures.",
    type="What the cells must be; other cells are refused.",
    map="Text in the cells -> the number it stands for.",
    missing="Value or values that mean missing, such as -9999.",
    min="Smallest allowed value.",
    max="Largest allowed value.",
)
MODEL: Words = _words(
    each="Repeats the whole study over values: {path: values}. Several primary "
    "outcomes give a panel each.",
    outcome="The dependent variable: a column, or {step: column} such as {log: wage}.",
    treatment="The treatment: a column, a list of columns (all reported), or a block "
    "with its kind and timing. A 0/1 column that never switches off is absorbing.",
    controls="List of covariates: columns, groups, [a, b] = a × b, {step: column}.",
    instruments="List of excluded instruments.",
    mediators="List of mediators, for estimators of direct and indirect effects.",
    interact="Moderator: the judged number becomes the difference in the effect per "
    "unit of this column.",
    fixed_effects="List of fixed effects: columns, [a, b] = the cells of a × b, "
    "{slope: {variable, by}} = one slope per group.",
    weights="Weights of the rows: {analytic: column}, {frequency: column} or "
    "{probability: column}.",
    spatial_weights="Which matrix of data.spatial_weights: one name for all roles, or "
    "{outcome, covariates, errors}.",
    sample="Named restrictions, all must hold, each a line in the row ledger: a "
    "condition such as year >= 2010, or a choice such as balanced.",
    inference="How standard errors are computed: iid, hetero, {cluster: state}, "
    "{cluster: [state, year]} for two-way, [[a, b]] for the cells of a and b.",
    estimand="The quantity in the table's cell and in the verdict; of a list all are "
    "shown and the first is judged. Default: the estimator's first.",
    confidence="Level of the confidence intervals; default 0.95.",
    acknowledge="Refusals that are knowingly overridden, by name; printed under the "
    "table.",
    estimator="The method: name, {name: main option} or {name: {options}}. "
    "`estimand show NAME` says more.",
)
TREATMENT: Words = _words(
    column="Column of the treatment, or a list of several.",
    kind="absorbing: 0/1 and never switches off; reversible: switches off again; dose: "
    "a quantity; levels: categories; cross_section: no timing.",
    first_treated="Column with the first treated period of the unit; alone, it makes "
    "the 0/1 treatment; with kind: dose the column counts from then on, and is 0 before.",
    never="Value of first_treated that marks units never treated, such as 0.",
    by="Column of the groups whose rows are treated together, such as state, where no "
    "unit is followed over time (repeated cross-sections).",
    reference="The level the others are compared with; with kind: levels.",
    anticipation="Periods before treatment in which units may already react.",
    shift="Moves the first treated period; -1 = one period earlier.",
)
INTERACT: Words = _words(
    with_="The moderator: a column or term.",
    main_effect="Whether treatment and moderator enter beside their product; default "
    "true.",
    center="Subtract the mean (`mean`) or this number from the moderator, so that the "
    "treatment's coefficient is the effect there.",
)
SPATIAL: Words = _words(
    all="The matrix for every role.",
    outcome="The matrix of the spatial lag of the outcome.",
    covariates="The matrix of the spatial lags of the covariates.",
    errors="The matrix of the spatial error.",
)
LINE: Words = _words(
    from_="Start from another line (`plain` in this heading, or heading.line), which "
    "is also what expectations compare with; else from the model.",
    each="Repeat the line over values: {path: [values]}, {path: {name: value}} or "
    "{path: every}. Two paths make a grid; case: {name: {changes}} ties changes.",
    except_="Cells of the grid to leave out: a list of {path: value, …}.",
    draws="Random repetition: {permute: treatment, times: 500}, {resample: column, "
    "times: 199}, {resplit: true, times: 50} or {leave_out: step, times: every}.",
    expect="What should hold: one expectation or a list. Each gets a verdict: holds, "
    "fails or cannot be judged, with the reason.",
    add="Add items to lists: {controls: [a, b]}.",
    remove="Take items out of lists: {controls: [a]}.",
    only="Keep the rows with these values: {column: value or list}.",
    without="Leave out the rows with these values: {column: value or list}.",
)
DRAWS: Words = _words(
    permute="Randomization inference: `treatment` gives the treatment paths to other "
    "units, a column its values (the groups that a line compares).",
    resample="Bootstrap: draw values of this column (the cluster) with replacement.",
    resplit="Draw the folds of sample splitting again.",
    leave_out="Redo this step without one of its members (a peer) at a time.",
    times="Number of draws, or `every` for all possible ones.",
    within="Permute only within the values of this column.",
    statistic="What permutations are compared by: `t` (studentised, default) or "
    "`estimate` (raw).",
    rebuild="Do the data steps again in every draw (generated outcomes).",
)
REPORT: Words = _words(
    title="Title of the table or figure.",
    rows="Terms or statistics to show, in this order.",
    baseline="Where the model itself stands as a column: first, last or none.",
)
