"""Exit statuses of command lines besides 0 and 1."""

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C
TERMINATED = 143  # what a shell reports for a program ended by SIGTERM
