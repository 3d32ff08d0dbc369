"""How many cores of the processor this process may use."""


def usable_cores() -> int:
    """As its affinity, a container's share of the processor and `LOKY_MAX_CPU_COUNT` allow; at least 1."""
    from joblib.externals.loky import cpu_count

    return int(cpu_count())
