"""A bundle: one served model as a directory of files, described by its `manifest.json`.

    manifest          the manifest, and the check that its files match their checksums
    stage             the part of it about graphs and their tensors
    tasks             the part of it about what the model is for
    manifest_model    the base class of everything in a manifest
    graph             its ONNX graphs, opened and checked against the manifest
    session_options   the options under which parity was proved
    prepared_graphs   graphs as onnxruntime has optimized them, shared by the processes of a machine
    external_weights  the weights of a graph in files beside it
    onnx_messages     the parts of ONNX's protocol buffers that are needed
    store             bundles in the BentoML model store
    errors            why a bundle cannot be used

Written by `export`, read by `service`. Knows nothing about torch, sessions or HTTP.
"""
