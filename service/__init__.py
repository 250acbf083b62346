import os

# Before anything imports onnxruntime, which reports to its makers unless it is told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
