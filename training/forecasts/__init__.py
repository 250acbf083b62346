"""Windows for training forecasters, and backtests: errors, figures, calibrated bands."""
