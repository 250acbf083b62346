"""Windows to train forecasters on, and their backtests: errors, figures, calibrated bands."""
