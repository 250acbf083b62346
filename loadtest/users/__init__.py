"""Users of the service. Each asks questions, checks the answers, and reports failures by kind."""
