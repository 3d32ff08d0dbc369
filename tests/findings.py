"""What a learning-rate finder may have found, for tests of what is drawn and said of it."""

from tlcore.results import RateFinding
from tlcore.training.lr_curve import growing_rates, smoothed

RATES = tuple(growing_rates(1e-5, 1, 40))
LOSSES = tuple(1.0 - 0.02 * i if i < 30 else 0.4 + 0.1 * (i - 30) for i in range(40))
FOUND = RateFinding(
    strategy="staged_fine_tuning", model="resnet18", phase=0, trainable="head", batch_size=32, rates=RATES,
    losses=LOSSES, smoothed=tuple(smoothed(LOSSES)), steepest=RATES[20], valley=RATES[15], suggestion=RATES[15],
    settings={"1.learning_rate": 0.00838}, recipe_rate=0.01, diverged=False, seconds=12.5,
)  # fmt: skip
