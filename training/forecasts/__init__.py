"""What is asked of forecasters: windows of readings, errors, backtests, bands of quantiles."""
