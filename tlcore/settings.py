"""Where things are, and the limits of this installation: the only reader of the environment."""

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tlcore import heap
from tlcore.errors import SpecError

VERSION = "0.1.0"
_PACKAGE = Path(__file__).resolve().parent
_DOWNLOADS = (
    "HOME",
    "TORCH_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME",
    "HF_HUB_OFFLINE",
)
_TUNABLES = "GLIBC_TUNABLES"
# How OpenMP threads wait for work. Those that spin take the cores from other processes: on a busy machine passes took
# twice as long. Those that sleep at once wake up late: a fit of many small products took half as long again. So sleep,
# but in GNU's library after so many turns, some tens of microseconds.
_WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
_BESIDE_PACKAGE = _PACKAGE.parent / "mlruns"


class Settings(BaseSettings):
    """Values from the environment (`TLCORE_…`), else defaults.

    `home` replaces `mlruns/` itself. `mlflow_tracking_uri` is read from `MLFLOW_TRACKING_URI`. `trainer`: the
    function, as `module:name`, with which workers train a run; tests put a small one in its place.
    `allow_local_addresses`: whether a dataset's web address may lead to this machine or its network. `record_steps`:
    whether a GPU is sent the passes of a phase as recordings; None: with a torch that recovers where one breaks off.
    """

    model_config = SettingsConfigDict(env_prefix="TLCORE_", frozen=True, populate_by_name=True)

    home: Path = _BESIDE_PACKAGE
    mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    owner: str = Field(default="", validation_alias="USER")
    test_data: Path | None = None
    test_weights: Path | None = None
    max_upload_mb: int = 500
    max_dataset_gb: float = 50.0
    max_dataset_files: int = 500_000
    max_cache_gb: float = Field(default=20.0, ge=0)
    allow_local_addresses: bool = False
    record_steps: bool | None = None
    worker_idle_seconds: float = Field(default=600.0, ge=0)
    cancel_grace_seconds: float = Field(default=10.0, ge=0)
    trainer: str = "tlcore.training.run:train_run"

    @property
    def root(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def tracking_uri(self) -> str:
        """The MLflow store: `MLFLOW_TRACKING_URI`, else a database in the home."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def uploads(self) -> Path:
        return self.jobs / "uploads"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def weights(self) -> Path:
        return self.root / "weights"

    @property
    def public_sets(self) -> Path:
        """Where files of public sets may be put that torchvision need not download then, as it wants them."""
        return self.root / "torchvision"

    @property
    def strategies(self) -> Path:
        return self.root / "strategies"

    @property
    def cache(self) -> Path:
        return self.root / "cache"


def download_places() -> list[tuple[str, str | None]]:
    """What the environment says of where timm and torchvision look for downloaded weights."""
    return [(name, os.environ.get(name)) for name in _DOWNLOADS]


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment for a process of ours that must see these same settings."""
    fields = Settings.model_fields.items()
    names = {name: str(field.validation_alias or f"TLCORE_{name.upper()}") for name, field in fields}
    values = settings.model_copy(update={"home": settings.root}).model_dump(mode="json", exclude_none=True)
    given = {names[name]: str(value) for name, value in values.items()}
    return python_environment(**_WAITING, **given)


def worker_environment(settings: Settings) -> dict[str, str]:
    """The same for a process that computes. It is to give memory back when a job is done: see `heap`."""
    environment = child_environment(settings)
    return {**environment, _TUNABLES: ":".join(filter(None, [*heap.KEEP, environment.get(_TUNABLES)]))}


def python_environment(**extra: str) -> dict[str, str]:
    """The environment for a Python process of ours, wherever it is started: it finds this package.

    Of a worker's own environment, what makes it keep memory is left out: its children do not give any back.
    """
    paths = dict.fromkeys([str(_PACKAGE.parent), *_given("PYTHONPATH", os.pathsep)])
    tunables = [part for part in _given(_TUNABLES, ":") if part not in heap.KEEP]
    inherited = {name: value for name, value in os.environ.items() if name != _TUNABLES}
    given = {_TUNABLES: ":".join(tunables)} if tunables else {}
    return {**inherited, **given, "PYTHONPATH": os.pathsep.join(paths), **extra}


def _given(name: str, separator: str) -> list[str]:
    """What a variable lists; nothing where it is not set."""
    return [part for part in os.environ.get(name, "").split(separator) if part]


def get_settings() -> Settings:
    """Settings as the environment is now. Raises: SpecError for a value that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        name = f"TLCORE_{name.upper()}" if name in Settings.model_fields else name
        raise SpecError(
            f"the environment's {name} is {first['input']!r}: {first['msg']}; change or unset it"
        ) from error
