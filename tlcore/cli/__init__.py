"""The command line; `app.py` is where it begins."""

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT
