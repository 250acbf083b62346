"""A bundle: one served model as a directory of files, described by its `manifest.json`.

    manifest         what a bundle says of itself, and the check that its files are the ones it speaks of
    stage            its part about graphs and their tensors
    tasks            its part about what the model is for
    graph            its ONNX graphs, opened with the options under which parity was proved
    store            bundles in the BentoML model store
    manifest_model   the base class of everything in a manifest
    errors           why a bundle cannot be used

Written by `export`, read by `service`. Knows nothing of torch, sessions or HTTP.
"""
