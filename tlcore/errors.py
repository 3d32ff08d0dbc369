"""Every error that Transfer Lab raises on purpose.

The message says what is wrong, the value, and what to do; it is shown to people as it is.
"""


class TlcoreError(Exception):
    """Base of all errors that a person can act on."""


class SpecError(TlcoreError):
    """A value of a comparison is missing, unknown or out of range."""


class UnknownStrategyError(SpecError):
    """No strategy has this name."""


class AmbiguousStrategyError(SpecError):
    """A name that courses use for more than one strategy."""


class StrategyError(SpecError):
    """A person's own strategy is malformed, or its name is taken."""


class NotFoundError(TlcoreError):
    """An id that names no dataset, run or comparison."""


class DatasetError(TlcoreError):
    """Images cannot be made into a dataset."""


class ArchiveError(DatasetError):
    """An archive is broken, unsafe or too large."""


class ImageError(DatasetError):
    """One image file cannot be read."""


class SplitError(DatasetError):
    """A dataset cannot be split as asked."""


class ModelError(TlcoreError):
    """A model is unknown or cannot be built."""


class WeightsError(TlcoreError):
    """Pretrained weights are absent, unreadable or made for another network."""


class DeviceError(TlcoreError):
    """The device that was asked for cannot be used."""


class StorageError(TlcoreError):
    """The disk is full, or the store is locked or was moved."""


class TrainingError(TlcoreError):
    """A run cannot go on."""


class NonFiniteLossError(TrainingError):
    """The loss became infinite or not a number."""


class RunCancelledError(TlcoreError):
    """Somebody asked for the run to stop."""


class JobError(TlcoreError):
    """A job could not be submitted, or its worker gave no answer."""


class ComparisonError(TlcoreError):
    """Results that cannot be put side by side."""
