"""All that befalls sessions beside their steps."""
