"""Users of the service. Each asks, checks the answers, and reports failures by kind."""
