"""A bundle's graphs on whole inputs, run as the service does, to prove them and to measure their quality."""
