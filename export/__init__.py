import service  # noqa: F401  it turns off what onnxruntime, which most modules here import first, would report
