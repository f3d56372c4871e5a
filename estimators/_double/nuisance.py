"""Cross-fitted predictions: the only module of this family that runs learners.

Predictions are kept in memory and on the shelf by everything they are made from, so that
another outcome finds the treatment's, in another process and another run, too; another
cluster or level finds all, and another fold, seed, option or row finds none.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import warnings
from collections import OrderedDict
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from estimators._math.projection import Codes, Flags, Floats
from framework.contract import SHELF, Plugin
from framework.errors import EstimandError, NumericalError

if TYPE_CHECKING:
    from framework.contract import Learner

Task = Literal["regression", "classification"]
#: Predictions are kept up to this size; those asked for longest ago go first.
KEPT_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Fitted:
    """Out-of-fold predictions of one target.

    Attributes:
        values: (n,).
        baseline: (n,) mean of the target in the training rows of the row's fold.
        unsettled: fits whose solver stopped before it converged.
    """

    values: Floats
    baseline: Floats
    unsettled: int

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
    known = _known(key, learner, len(fold))
    if known is not None:
        return known
    values, baseline = np.empty(len(fold)), np.empty(len(fold))
    unsettled = 0
    with _one_thread():
        for k in range(int(fold.max()) + 1):
            test = fold == k
            of = target if target.ndim == 1 else target[k]
            train = ~test
            if within is not None:
                train &= within if within.ndim == 1 else within[k]
            model = learner.build(task, _seed(seed, k))
            predicted, stopped = _fit_predict(model, X, of, train, test, task, what)
            values[test] = predicted
            baseline[test] = of[train].mean()
            unsettled += stopped
    if not np.isfinite(values).all():
        raise NumericalError("N02", f"predictions of {what} are not all finite")
    for array in (values, baseline):
        array.setflags(write=False)
    fitted = Fitted(values, baseline, unsettled)
    _remember(key, fitted, learner)
    return fitted


def _known(key: bytes, learner: Learner, n: int) -> Fitted | None:
    """Predictions from this process's memory, else from the shelf."""
    fitted = MEMORY.get(key)
    shelf = SHELF.get()
    if fitted is not None or shelf is None or not _shelved(learner):
        return fitted
    held = shelf.get(key)
    if held is None or len(held) != 8 * (2 * n + 1):
        return None
    numbers = np.frombuffer(held, dtype="<f8")
    fitted = Fitted(numbers[:n], numbers[n : 2 * n], int(numbers[2 * n]))
    MEMORY.hold(key, fitted)
    return fitted


def _remember(key: bytes, fitted: Fitted, learner: Learner) -> None:
    MEMORY.put(key, fitted)
    shelf = SHELF.get()
    if shelf is not None and _shelved(learner):
        numbers = np.append(fitted.values, fitted.baseline)
        numbers = np.append(numbers, float(fitted.unsettled))
        shelf.put(key, numbers.astype("<f8").tobytes())


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
    inner_key, mean_key = key + b"inner", key + f"mean{X.shape[1]}".encode()
    n = len(target)
    inner, mean = _known(inner_key, learner, n), _known(mean_key, learner, n)
    if inner is not None and mean is not None:
        return inner, mean
    arrays = [np.empty(len(target)) for _ in range(4)]
    unsettled = [0, 0]
    K = int(fold.max()) + 1
    with _one_thread():
        for k in range(K):
            test = fold == k
            first = ~test & ((fold - k) % K <= K // 2)
            second = ~test & ~first
            known, stopped = _fit_predict(
                learner.build("regression", _seed(seed, k)),
                both,
                target,
                first & within,
                test | (second & ~within),
                "regression",
                what,
            )
            values = np.empty(len(target))
            values[test | (second & ~within)] = known
            unsettled[0] += stopped
            arrays[0][test] = values[test]
            arrays[1][test] = target[first & within].mean()
            arrays[2][test], stopped = _fit_predict(
                learner.build("regression", _seed(seed, K + k)),
                X,
                values,
                second & ~within,
                test,
                "regression",
                f"the mean of {what}",
            )
            unsettled[1] += stopped
            arrays[3][test] = values[second & ~within].mean()
    if not all(np.isfinite(a).all() for a in arrays):
        raise NumericalError("N02", f"predictions of {what} are not all finite")
    for array in arrays:
        array.setflags(write=False)
    inner = Fitted(arrays[0], arrays[1], unsettled[0])
    mean = Fitted(arrays[2], arrays[3], unsettled[1])
    _remember(inner_key, inner, learner)
    _remember(mean_key, mean, learner)
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
    model: object,
    X: Floats,
    target: Floats,
    train: Flags,
    test: Flags,
    task: Task,
    what: str,
) -> tuple[Floats, int]:
    """Predictions of the test rows, and 1 if the solver did not converge."""
    from sklearn.exceptions import ConvergenceWarning

    y = target[train].astype(np.int64) if task == "classification" else target[train]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            fitted = model.fit(X[train], y)  # type: ignore[attr-defined]  # scikit-learn has no types
            if task == "classification":
                predicted = fitted.predict_proba(X[test])[:, 1]
            else:
                predicted = fitted.predict(X[test])
        except EstimandError:
            raise
        except Exception as error:
            raise NumericalError(
                "N02",
                f"the learner of {what} failed: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else ''}",
                fix="other options, or another learner",
            ) from error
    return np.asarray(predicted, dtype=np.float64), int(bool(said))


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


def loss(target: Floats, fitted: Floats, baseline: Floats, task: Task) -> float:
    """Out-of-fold R2 (against the training mean), or log-loss of probabilities."""
    if task == "classification":
        p = np.clip(fitted, 1e-12, 1 - 1e-12)  # the log of a certain error is infinite
        return float(-np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)))
    total = float(np.sum((target - baseline) ** 2))
    left = float(np.sum((target - fitted) ** 2))
    return 1.0 - left / total if total > 0 else 0.0
