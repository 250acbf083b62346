"""Steps over HTTP: of one session, of many, in JSON and binary."""
