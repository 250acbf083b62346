"""The files of a bundle: graphs, weights, manifest, figures and card."""
