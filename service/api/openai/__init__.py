"""Texts that are continued in the form of OpenAI's API."""
