"""Cross-fitted predictions: the only module of this family that runs learners.

Predictions are kept in memory and on the shelf by everything they are made from, so that
another outcome finds the treatment's, in another process and another run, too; another
cluster or level finds all, and another fold, seed, option or row finds none. Workers
that need the same predictions at the same time share their folds out.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from estimators._double.shared import made_together
from estimators._math.projection import Codes, Flags, Floats
from framework.contract import SHELF, Plugin
from framework.errors import EstimandError, NumericalError

if TYPE_CHECKING:
    from framework.contract import Learner

Task = Literal["regression", "classification"]
#: Predictions are kept up to this size; those asked for longest ago go first.
KEPT_BYTES = 64_000_000
#: How far outside [0, 1] a sum of rounded probabilities may be.
ROUNDED = 1e-6


@dataclass(frozen=True, slots=True)
class Fitted:
    """Out-of-fold predictions of one target.

    Attributes:
        values: (n,).
        baseline: (n,) mean of the target in the training rows of the row's fold.
        unsettled: fits whose solver stopped before it converged.
        chosen: (K, m) what the fit without fold k gives each of the learner's members.
    """

    values: Floats
    baseline: Floats
    unsettled: int
    chosen: Floats = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def size(self) -> int:
        return self.values.nbytes + self.baseline.nbytes


@dataclass(slots=True)
class Memory:
    """Predictions by key, least recently used first out."""

    limit: int = KEPT_BYTES
    held: OrderedDict[bytes, Fitted] = field(default_factory=OrderedDict)
    size: int = 0
    found: int = 0
    made: int = 0
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: bytes) -> Fitted | None:
        with self._lock:
            fitted = self.held.get(key)
            if fitted is not None:
                self.held.move_to_end(key)
                self.found += 1
            return fitted

    def put(self, key: bytes, fitted: Fitted) -> None:
        with self._lock:
            self.made += 1
        self.hold(key, fitted)

    def hold(self, key: bytes, fitted: Fitted) -> None:
        """Keep what was made elsewhere."""
        with self._lock:
            if key in self.held or fitted.size > self.limit:
                return
            self.held[key] = fitted
            self.size += fitted.size
            while self.size > self.limit:
                self.size -= self.held.popitem(last=False)[1].size

    def clear(self) -> None:
        with self._lock:
            self.held.clear()
            self.size = self.found = self.made = 0


MEMORY = Memory()


def cross_fit(
    target: Floats,
    X: Floats,
    fold: Codes,
    learner: Learner,
    task: Task,
    seed: int,
    *,
    within: Flags | None = None,
    what: str,
) -> Fitted:
    """Predict every row from a learner that has seen no row of its fold.

    Args:
        target: (n,) what is predicted, or (K, n) where it differs by the fold that is
            left out; `what` names it in messages.
        X: (n, p) features.
        fold: (n,) fold of each row.
        learner: built anew for each fold.
        task: regression, or classification of a 0/1 target (probabilities).
        seed: the learner's seed in fold k derives from (seed, k).
        within: (n,) rows that may be learned from (one arm), or (K, n) by the fold that
            is left out; all are predicted.

    Raises:
        NumericalError: N02 the learner failed, or predicts what is no number.
    """
    _load_engine()
    key = _key(target, X, fold, learner, task, seed, within)

    def leaving_out(k: int) -> list[_Fold]:
        test = fold == k
        of = target if target.ndim == 1 else target[k]
        train = ~test
        if within is not None:
            train &= within if within.ndim == 1 else within[k]
        model = learner.build(task, _seed(seed, k))
        predicted, stopped, chosen = _fit_predict(
            learner, model, X, of, train, test, task, what
        )
        return [_Fold(predicted, float(of[train].mean()), stopped, chosen)]

    (fitted,) = _by_fold([key], fold, learner, leaving_out, what)
    return fitted


@dataclass(frozen=True, slots=True)
class _Fold:
    """Predictions of one fold's rows, and the mean in its training rows."""

    values: Floats
    baseline: float
    unsettled: int
    chosen: Floats


def _by_fold(
    keys: Sequence[bytes],
    fold: Codes,
    learner: Learner,
    leaving_out: Callable[[int], list[_Fold]],
    what: str,
) -> list[Fitted]:
    """Predictions from memory, else from the shelf, else fold by fold.

    Args:
        keys: of the targets that a fit predicts.
        fold: (n,) fold of each row.
        leaving_out: fits without fold k; its predictions of every target.

    Raises:
        NumericalError: N02.
        ElsewhereError: other workers make what is missing.
    """
    held = [MEMORY.get(key) for key in keys]
    if (known := [f for f in held if f is not None]) and len(known) == len(keys):
        return known
    rows = [np.flatnonzero(fold == k) for k in range(int(fold.max()) + 1)]
    members = len(learner.members())

    def make(k: int) -> bytes:
        made = leaving_out(k)
        if not all(np.isfinite(f.values).all() for f in made):
            raise NumericalError("N02", f"predictions of {what} are not all finite")
        numbers = [
            np.concatenate([f.values, [f.baseline, f.unsettled], f.chosen])
            for f in made
        ]
        return np.concatenate(numbers).astype("<f8").tobytes()

    shelf = SHELF.get()
    with _one_thread():
        if shelf is None or not _shelved(learner):
            value, fresh = b"".join(make(k) for k in range(len(rows))), True
        else:
            sizes = [8 * len(keys) * (len(of) + 2 + members) for of in rows]
            value, fresh = made_together(shelf, b"|".join(keys), sizes, make)
    numbers = np.frombuffer(value, dtype="<f8")
    fitted = _of_folds(numbers, rows, len(keys), len(fold), members)
    for key, one in zip(keys, fitted, strict=True):
        (MEMORY.put if fresh else MEMORY.hold)(key, one)
    return fitted


def _of_folds(
    numbers: Floats, rows: Sequence[Codes], targets: int, n: int, members: int
) -> list[Fitted]:
    """What `_by_fold` kept, fold after fold, by target."""
    values, baseline = np.empty((targets, n)), np.empty((targets, n))
    chosen = np.empty((targets, len(rows), members))
    unsettled, at = [0] * targets, 0
    for k, of in enumerate(rows):
        for j in range(targets):
            end = at + len(of)
            values[j, of], baseline[j, of] = numbers[at:end], numbers[end]
            unsettled[j] += int(numbers[end + 1])
            at = end + 2 + members
            chosen[j, k] = numbers[end + 2 : at]
    for array in (values, baseline, chosen):
        array.setflags(write=False)
    return [
        Fitted(values[j], baseline[j], unsettled[j], chosen[j]) for j in range(targets)
    ]


def _shelved(learner: Learner) -> bool:
    """Whether the shelf's name covers this learner's source: it does for ours alone."""
    inner = [
        x
        for value in (getattr(learner, name) for name in type(learner).model_fields)
        for x in (value if isinstance(value, list | tuple) else [value])
        if isinstance(x, Plugin)
    ]
    own = type(learner).__module__.split(".")[0] == __name__.split(".")[0]
    return own and all(_shelved(x) for x in inner)  # type: ignore[arg-type]  # options of learners that are plugins are learners


def cross_fit_nested(
    target: Floats,
    X: Floats,
    M: Floats,
    fold: Codes,
    arm: Floats,
    of: int,
    learner: Learner,
    seed: int,
    *,
    what: str,
) -> tuple[Fitted, Fitted]:
    """E[Y | D = of, M, X], and its mean given X in the other arm.

    The inner regression is learned from one half of the folds that are not left out,
    its mean from predictions in the other half (Farbmacher et al. 2022, algorithm 1).

    Args:
        target: (n,) outcome.
        X, M: (n, p), (n, m) controls and mediators.
        fold: (n,) three folds or more.
        arm: (n,) 0/1 treatment.
        of: arm whose outcome is learned.
        learner, seed: as in `cross_fit`.
        what: names the target in messages.

    Returns:
        Predictions (n,) of either.

    Raises:
        NumericalError: N02.
    """
    _load_engine()
    both = np.column_stack([X, M])
    within = arm == of
    key = _key(target, both, fold, learner, "regression", seed, within)
    # The mean is one given X, and where X ends is not in the columns of both.
    keys = [key + b"inner", key + f"mean{X.shape[1]}".encode()]
    K = int(fold.max()) + 1

    def leaving_out(k: int) -> list[_Fold]:
        test = fold == k
        first = ~test & ((fold - k) % K <= K // 2)
        second = ~test & ~first
        others = second & ~within
        values = np.empty(len(target))
        values[test | others], stopped, chosen = _fit_predict(
            learner,
            learner.build("regression", _seed(seed, k)),
            both,
            target,
            first & within,
            test | others,
            "regression",
            what,
        )
        mean, stopped_too, chosen_too = _fit_predict(
            learner,
            learner.build("regression", _seed(seed, K + k)),
            X,
            values,
            others,
            test,
            "regression",
            f"the mean of {what}",
        )
        inner = float(target[first & within].mean())
        return [
            _Fold(values[test], inner, stopped, chosen),
            _Fold(mean, float(values[others].mean()), stopped_too, chosen_too),
        ]

    inner, mean = _by_fold(keys, fold, learner, leaving_out, what)
    return inner, mean


@cache
def _load_engine() -> None:
    """Import scikit-learn; doing so draws from the random numbers that all share."""
    state = random.getstate()
    importlib.import_module("sklearn.linear_model")
    random.setstate(state)


def _one_thread() -> AbstractContextManager[Any]:
    """Sums over threads end in other last digits, and threads of two fits wait."""
    from sklearn.utils.parallel import _get_threadpool_controller

    limited: AbstractContextManager[Any] = _get_threadpool_controller().limit(limits=1)
    return limited


def _fit_predict(
    learner: Learner,
    model: object,
    X: Floats,
    target: Floats,
    train: Flags,
    test: Flags,
    task: Task,
    what: str,
) -> tuple[Floats, int, Floats]:
    """Predictions of the test rows, 1 if the solver did not converge, what was chosen."""
    from sklearn.exceptions import ConvergenceWarning

    y = target[train].astype(np.int64) if task == "classification" else target[train]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            fitted = model.fit(X[train], y)  # type: ignore[attr-defined]  # scikit-learn has no types
            predicted = _predictions(fitted, X[test], task)
            chosen = np.asarray(learner.chosen(fitted), dtype=np.float64)
            members = len(learner.members())
            if chosen.shape != (members,) or not np.isfinite(chosen).all():
                raise ValueError("chosen() is not one number for each of members()")
        except EstimandError:
            raise
        except Exception as error:
            raise NumericalError(
                "N02",
                f"the learner of {what} failed: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else ''}",
                fix="other options, or another learner",
            ) from error
    return predicted, int(bool(said)), chosen


def _predictions(fitted: Any, X: Floats, task: Task) -> Floats:
    """Predictions (n,) of a fitted learner, which may be anybody's.

    Raises:
        TypeError: it has no probabilities, or predicts what is no number.
        ValueError: not one for each row, or probabilities that are none.
    """
    if task == "regression":
        said = np.asarray(fitted.predict(X))
        said = said[:, 0] if said.shape == (len(X), 1) else said
    elif hasattr(fitted, "predict_proba"):
        both = np.asarray(fitted.predict_proba(X))
        if both.shape != (len(X), 2):
            raise ValueError(
                f"predict_proba gives {both.shape} for {len(X)} rows of two classes"
            )
        said = both[:, 1]
    else:
        raise TypeError(
            f"'{type(fitted).__name__}' has no predict_proba: for a 0/1 target, build a "
            "classifier when task is 'classification'"
        )
    if said.dtype.kind not in "fiub":
        raise TypeError(f"it predicts {said.dtype} and no numbers")
    if said.shape != (len(X),):
        raise ValueError(f"predict gives {said.shape} for {len(X)} rows")
    said = said.astype(np.float64)
    # Probabilities off by a rounding error are those of a softmax.
    if task == "classification" and (
        np.min(said, initial=0.0) < -ROUNDED or np.max(said, initial=1.0) > 1 + ROUNDED
    ):
        raise ValueError(
            f"probabilities from {said.min():.3g} to {said.max():.3g} are none"
        )
    return said


def _seed(seed: int, fold: int) -> int:
    """A learner's seed: 31 bits, the same on every machine."""
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0] >> 1)


def _key(
    target: Floats,
    X: Floats,
    fold: Codes,
    learner: Learner,
    task: Task,
    seed: int,
    within: Flags | None,
) -> bytes:
    """Everything that moves a prediction. Learners are their class and their options."""
    digest = hashlib.blake2b(digest_size=20)
    cls = type(learner)
    said = (
        f"{cls.__module__}:{cls.__qualname__}|{learner.model_dump_json()}|{task}|{seed}"
    )
    digest.update(f"{said}|{X.shape}".encode())
    for array in (target, X, fold, within):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        digest.update(b"|")
    return digest.digest()


def weights_of(learner: Learner, fitted: Fitted, fold: int) -> dict[str, float]:
    """What the fit without a fold gives each member of its learner; empty = no members."""
    members = learner.members()
    if not members:
        return {}
    return {m: float(w) for m, w in zip(members, fitted.chosen[fold], strict=True)}


def loss(target: Floats, fitted: Floats, baseline: Floats, task: Task) -> float:
    """Out-of-fold R2 (against the training mean), or log-loss of probabilities."""
    if task == "classification":
        p = np.clip(fitted, 1e-12, 1 - 1e-12)  # the log of a certain error is infinite
        return float(-np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)))
    total = float(np.sum((target - baseline) ** 2))
    left = float(np.sum((target - fitted) ** 2))
    return 1.0 - left / total if total > 0 else 0.0
