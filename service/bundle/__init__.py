"""A bundle: one served model as a directory of files, described by its `manifest.json`.

    manifest         the manifest, and the check that its files match their checksums
    stage            the part of it about graphs and their tensors
    tasks            the part of it about what the model is for
    graph            its ONNX graphs, opened with the options under which parity was proved
    store            bundles in the BentoML model store
    manifest_model   the base class of everything in a manifest
    errors           why a bundle cannot be used

Written by `export`, read by `service`. Knows nothing about torch, sessions or HTTP.
"""
