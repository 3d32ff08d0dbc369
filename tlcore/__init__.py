"""Transfer Lab: transfer learning, fine-tuning or training from scratch, compared on your own images."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlcore.service.library import compare

__all__ = ["compare"]


def __getattr__(name: str) -> Any:
    """Load `compare` on first use, so that `import tlcore` stays light."""
    if name == "compare":
        from tlcore.service.library import compare

        return compare
    raise AttributeError(f"module 'tlcore' has no attribute {name!r}")
