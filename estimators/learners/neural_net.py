"""Feed-forward neural network."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from framework.contract import Learner


class NeuralNet(Learner):
    """Layers of rectified linear units, columns and outcome standardised."""

    main: ClassVar[str | None] = "layers"
    paper: ClassVar[str] = "Farrell, Liang and Misra (2021), Econometrica 89(1)"

    layers: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(50,),
        min_length=1,
        description="Units of each hidden layer; one layer of 50 for panels of a few "
        "thousand rows.",
    )
    penalty: float = Field(
        default=1e-3, ge=0, description="Penalty on squared weights (`alpha`)."
    )
    rounds: int = Field(
        default=300,
        ge=1,
        description="Most passes over the rows; it stops when a "
        "tenth of them, held out, is not fitted better for ten passes.",
    )

    def build(self, task: Literal["regression", "classification"], seed: int) -> Any:
        """A pipeline of standardisation and a multi-layer perceptron."""
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        settings: dict[str, Any] = {
            "hidden_layer_sizes": self.layers,
            "alpha": self.penalty,
            "max_iter": self.rounds,
            "early_stopping": True,
            "random_state": seed,
        }
        if task == "classification":
            return make_pipeline(StandardScaler(), MLPClassifier(**settings))
        net = MLPRegressor(**settings)
        scaled = TransformedTargetRegressor(net, transformer=StandardScaler())
        return make_pipeline(StandardScaler(), scaled)
