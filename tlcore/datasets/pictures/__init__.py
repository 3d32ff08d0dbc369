"""Picture files: decoding, pixels as models want them, and the child processes that meet strangers' files first."""
