#!/bin/sh
# Run by BentoML while it builds the image of a Bento: where the volume for the session store is mounted, its user's own.
set -eu
install --directory --owner bentoml --group bentoml --mode 0700 /home/bentoml/unrolled
