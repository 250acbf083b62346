"""The quality of bundles on the development data: measured, over several seeds, and beside published figures."""
